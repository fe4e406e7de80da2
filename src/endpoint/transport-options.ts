/**
 * The knobs of an endpoint's connections, with the reference program's values where none is turned.
 */
import { defaultClientConfig, defaultServerConfig, type QuicConfigProposal } from '../quic/handshake/config.js'
import type { CongestionAlgorithm } from '../quic/recovery/sent-packet-manager.js'
import type { QuicConnectionOptions } from '../quic/transport/connection.js'
import { MTU_TARGET_HIGH, MTU_TARGET_LOW } from '../quic/transport/mtu-discovery.js'
import { clientSessionDefaults, serverSessionDefaults, type SessionOptions } from '../quic/transport/session-options.js'

/** Whether larger packets are looked for: up to 1430 (low) or 1450 bytes (high). */
export type MtuDiscoveryMode = 'off' | 'low' | 'high'

/** All optional. Sizes in bytes. */
export interface TransportOptions {
  /** Receive window of one stream at first: what a stalled stream can hold. At least 16 KiB. */
  streamWindow?: number
  /** Receive window of all streams of a connection together at first. At least 16 KiB. */
  connectionWindow?: number
  /** Streams that the peer may have open at a time. */
  maxStreams?: number
  /** A connection without traffic ends after this many seconds (the smaller of both sides' values holds). */
  idleTimeoutSeconds?: number
  /** SCLS: it ends without a packet (default), unless one of both sides says no. */
  silentClose?: boolean
  /** Largest UDP payload to send, 1200 to 1452 bytes. */
  maxPacketLength?: number
  /** How the sending rate is found (default cubic); a server gives way to a client's COPT TBBR, RENO or BYTE. */
  congestion?: CongestionAlgorithm
  /**
   * Look for larger packets than the first ones: `high` tries 1450 bytes, `low` 1430. A client's server does the same.
   * Off if missing, but a server does what its client asks for.
   */
  mtuDiscovery?: MtuDiscoveryMode
  /** COPT: connection options for this side's hello, four-character tags such as `SPSH`. */
  connectionOptions?: readonly string[]
  /** IRTT: a guess at the round-trip time, microseconds, for both sides to begin with; the peer's wins here. */
  initialRtt?: number
  /** SRBF: the size of the socket's receive buffer, bytes, for the peer to know. It changes nothing, as in the reference. */
  socketReceiveBuffer?: number
  /** TCID (clients): the server leaves the connection id out of its packets, where the version lets it. */
  omitConnectionId?: boolean
  /** FHOL (clients): asks that all bodies go through the headers stream. Q036 only; ignored elsewhere. */
  forceHolBlocking?: boolean
}

/** What the handshake proposes for these options. */
export function configProposal(side: 'client' | 'server', o: TransportOptions): QuicConfigProposal {
  const base = side === 'client' ? defaultClientConfig : defaultServerConfig
  return {
    ...base,
    streamWindow: o.streamWindow ?? base.streamWindow,
    connectionWindow: o.connectionWindow ?? base.connectionWindow,
    maxStreamsPerConnection: o.maxStreams ?? base.maxStreamsPerConnection,
    maxIncomingStreams: o.maxStreams ?? base.maxIncomingStreams,
    idleTimeoutSeconds: o.idleTimeoutSeconds ?? base.idleTimeoutSeconds,
    silentClose: o.silentClose ?? base.silentClose,
    connectionOptions: (side === 'client' ? clientOptions(o) : o.connectionOptions) ?? base.connectionOptions,
    initialRtt: o.initialRtt ?? base.initialRtt,
    socketReceiveBuffer: o.socketReceiveBuffer ?? base.socketReceiveBuffer,
    omitConnectionId: o.omitConnectionId ?? base.omitConnectionId,
    forceHolBlocking: o.forceHolBlocking ?? base.forceHolBlocking
  }
}

const MTU_TARGETS = { off: undefined, low: MTU_TARGET_LOW, high: MTU_TARGET_HIGH }

/** What a connection itself has to know of these options. */
export function connectionParameters(
  side: 'client' | 'server',
  o: TransportOptions
): Pick<QuicConnectionOptions, 'congestion' | 'maxPacketLength' | 'connectionOptions' | 'initialRtt' | 'mtuTarget'> {
  return {
    congestion: o.congestion,
    maxPacketLength: o.maxPacketLength,
    connectionOptions: side === 'client' ? clientOptions(o) : undefined,
    initialRtt: o.initialRtt,
    mtuTarget: MTU_TARGETS[mtuDiscoveryMode(o)]
  }
}

function clientOptions(o: TransportOptions): readonly string[] | undefined {
  const mode = mtuDiscoveryMode(o)
  return mode === 'off' ? o.connectionOptions : [...(o.connectionOptions ?? []), mode === 'high' ? 'MTUH' : 'MTUL']
}

/** Off as well where the options name the size by its tag, which is all that a connection needs. */
function mtuDiscoveryMode({ mtuDiscovery = 'off', connectionOptions = [] }: TransportOptions): MtuDiscoveryMode {
  return connectionOptions.some((tag) => tag === 'MTUH' || tag === 'MTUL') ? 'off' : mtuDiscovery
}

/** What a session grants for these options: the same windows and limits that the handshake proposes. */
export function sessionOptions(side: 'client' | 'server', o: TransportOptions): SessionOptions {
  const base = side === 'client' ? clientSessionDefaults : serverSessionDefaults
  return {
    ...base,
    streamWindow: o.streamWindow ?? base.streamWindow,
    connectionWindow: o.connectionWindow ?? base.connectionWindow,
    maxIncomingStreams: o.maxStreams ?? base.maxIncomingStreams,
    connectionOptions: o.connectionOptions,
    forceHolBlocking: o.forceHolBlocking
  }
}
