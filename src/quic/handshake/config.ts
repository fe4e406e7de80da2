/**
 * What each side proposes for the connection in its hello, and what follows from both proposals (quic_config.cc).
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { Micros } from '../types.js'
import { HandshakeMessage } from '../wire/handshake-message.js'
import { MessageTag, Tag, tagName, tagOf } from '../wire/tags.js'
import type { NegotiatedConfig } from './negotiated-config.js'

/** The window, in bytes, that a peer grants if its hello says nothing, and the smallest that it may grant. */
export const MIN_FLOW_CONTROL_WINDOW = 16 * 1024

/** Streams a peer may open if its hello says nothing. */
const DEFAULT_MAX_STREAMS = 100

/** One side's proposal. The same object may serve any number of connections. */
export interface QuicConfigProposal {
  /** ICSL: the longest idle timeout, in seconds, that this side puts up with. */
  readonly idleTimeoutSeconds: number
  /** SCLS: whether an idle connection may end without a packet. */
  readonly silentClose: boolean
  /** MSPC: the most streams at a time, where the version has one limit for both sides. */
  readonly maxStreamsPerConnection: number
  /** MIDS: the most streams that the peer may have open. */
  readonly maxIncomingStreams: number
  /** SFCW: bytes that the peer may send on each stream at first. */
  readonly streamWindow: number
  /** CFCW: bytes that the peer may send on the connection at first. */
  readonly connectionWindow: number
  /** COPT: four-character tags. */
  readonly connectionOptions?: readonly string[]
  /** IRTT: a guess at the round-trip time, in microseconds, for both sides to begin with; 0 says nothing. */
  readonly initialRtt?: Micros | undefined
  /** SRBF: the size of the socket's receive buffer, bytes. Told to the peer, which does nothing with it. */
  readonly socketReceiveBuffer?: number | undefined
  /** TCID 0: the peer shall leave the connection id out of its packets. */
  readonly omitConnectionId?: boolean | undefined
  /** NCMR: the peer shall not migrate. */
  readonly disableMigration?: boolean
  /** FHOL: asks for forced head-of-line blocking (client). */
  readonly forceHolBlocking?: boolean
}

/** What the reference's client proposes. */
export const defaultClientConfig: QuicConfigProposal = {
  idleTimeoutSeconds: 600,
  silentClose: true,
  maxStreamsPerConnection: DEFAULT_MAX_STREAMS,
  maxIncomingStreams: DEFAULT_MAX_STREAMS,
  streamWindow: 6 * 1024 * 1024,
  connectionWindow: 15 * 1024 * 1024
}

/** What the reference's server proposes. */
export const defaultServerConfig: QuicConfigProposal = {
  ...defaultClientConfig,
  streamWindow: 64 * 1024,
  connectionWindow: 1024 * 1024
}

/** Writes this side's values into a client hello. */
export function writeClientConfig(hello: HandshakeMessage, own: QuicConfigProposal): void {
  hello.setUint32(Tag.ICSL, own.idleTimeoutSeconds)
  hello.setUint32(Tag.SCLS, own.silentClose ? 1 : 0)
  hello.setUint32(Tag.MSPC, own.maxStreamsPerConnection)
  writeFixedValues(hello, own)
  if (own.forceHolBlocking === true) hello.setUint32(Tag.FHOL, 1)
}

/** Writes the outcome of the negotiation and this side's values into a server hello. */
export function writeServerConfig(
  hello: HandshakeMessage,
  own: QuicConfigProposal,
  negotiated: NegotiatedConfig
): void {
  hello.setUint32(Tag.ICSL, negotiated.idleTimeoutSeconds)
  hello.setUint32(Tag.SCLS, negotiated.silentClose ? 1 : 0)
  hello.setUint32(Tag.MSPC, negotiated.maxStreamsPerConnection)
  writeFixedValues(hello, own)
}

/** What a proposal writes into every hello, by proposal. */
const fixedValues = new WeakMap<QuicConfigProposal, HandshakeMessage>()

function writeFixedValues(hello: HandshakeMessage, own: QuicConfigProposal): void {
  let values = fixedValues.get(own)
  if (values === undefined) fixedValues.set(own, (values = fixedValuesOf(own)))
  hello.setAll(values)
}

function fixedValuesOf(own: QuicConfigProposal): HandshakeMessage {
  const values = new HandshakeMessage(MessageTag.SHLO)
  values.setUint32(Tag.MIDS, own.maxIncomingStreams)
  values.setUint32(Tag.SFCW, own.streamWindow)
  values.setUint32(Tag.CFCW, own.connectionWindow)
  if (own.omitConnectionId === true) values.setUint32(Tag.TCID, 0)
  if (own.initialRtt !== undefined) values.setUint32(Tag.IRTT, own.initialRtt)
  if (own.socketReceiveBuffer !== undefined) values.setUint32(Tag.SRBF, own.socketReceiveBuffer)
  if (own.disableMigration === true) values.setUint32(Tag.NCMR, 1)
  if (own.connectionOptions !== undefined && own.connectionOptions.length > 0) {
    values.setUint32List(Tag.COPT, own.connectionOptions.map(tagOf))
  }
  return values
}

/**
 * What a server gets from a client's hello and its own proposal.
 *
 * @throws QuicError CRYPTO_MESSAGE_PARAMETER_NOT_FOUND (no ICSL), INVALID_CRYPTO_MESSAGE_PARAMETER (a value of the
 *   wrong size), FLOW_CONTROL_INVALID_WINDOW (a window below {@link MIN_FLOW_CONTROL_WINDOW})
 */
export function processClientConfig(hello: HandshakeMessage, own: QuicConfigProposal): NegotiatedConfig {
  return processPeerConfig(hello, own, false)
}

/**
 * What a client gets from a server's hello and its own proposal.
 *
 * @throws QuicError those of {@link processClientConfig}, and INVALID_NEGOTIATED_VALUE if the server answers with more
 *   than was proposed
 */
export function processServerConfig(hello: HandshakeMessage, own: QuicConfigProposal): NegotiatedConfig {
  const negotiated = processPeerConfig(hello, own, true)
  if (own.forceHolBlocking === true) negotiated.forceHolBlocking = true
  return negotiated
}

function processPeerConfig(hello: HandshakeMessage, own: QuicConfigProposal, fromServer: boolean): NegotiatedConfig {
  if (!hello.has(Tag.ICSL)) {
    throw new QuicError(QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND, 'Missing ICSL')
  }
  const idleTimeoutSeconds = negotiate(hello, Tag.ICSL, own.idleTimeoutSeconds, 0, fromServer)
  const silentClose = negotiate(hello, Tag.SCLS, own.silentClose ? 1 : 0, 0, fromServer) > 0
  const streams = own.maxStreamsPerConnection
  const maxStreams = negotiate(hello, Tag.MSPC, streams, Math.min(DEFAULT_MAX_STREAMS, streams), fromServer)
  return {
    idleTimeoutSeconds,
    silentClose,
    maxStreamsPerConnection: maxStreams,
    peerMaxIncomingStreams: hello.uint32(Tag.MIDS),
    omitConnectionId: hello.uint32(Tag.TCID) === 0,
    initialRtt: hello.uint32(Tag.IRTT),
    peerSocketReceiveBuffer: hello.uint32(Tag.SRBF),
    disableMigration: hello.has(Tag.NCMR),
    peerStreamWindow: window(hello, Tag.SFCW),
    peerConnectionWindow: window(hello, Tag.CFCW),
    connectionOptions: (hello.uint32List(Tag.COPT) ?? []).map(tagName),
    forceHolBlocking: hello.uint32(Tag.FHOL) !== undefined
  }
}

/** A value on which both sides agree: the smaller one wins, and a server may not answer with more than was offered. */
function negotiate(hello: HandshakeMessage, tag: number, max: number, absent: number, fromServer: boolean): number {
  const value = hello.uint32(tag) ?? absent
  if (fromServer && value > max) {
    throw new QuicError(QuicErrorCode.INVALID_NEGOTIATED_VALUE, `Invalid value received for ${tagName(tag)}`)
  }
  return Math.min(value, max)
}

function window(hello: HandshakeMessage, tag: number): number {
  const bytes = hello.uint32(tag) ?? MIN_FLOW_CONTROL_WINDOW
  if (bytes < MIN_FLOW_CONTROL_WINDOW) {
    throw new QuicError(QuicErrorCode.FLOW_CONTROL_INVALID_WINDOW, `${tagName(tag)} of ${bytes} bytes is too small`)
  }
  return bytes
}
