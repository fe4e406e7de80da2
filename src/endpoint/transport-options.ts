/**
 * The knobs of an endpoint's connections, with the reference program's values where none is turned.
 */
import { defaultClientConfig, defaultServerConfig, type QuicConfigProposal } from '../quic/handshake/config.js'
import type { CongestionAlgorithm } from '../quic/recovery/sent-packet-manager.js'
import { clientSessionDefaults, serverSessionDefaults, type SessionOptions } from '../quic/transport/session-options.js'

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
  /** Largest UDP payload to send, 1200 to 1452 bytes. */
  maxPacketLength?: number
  congestion?: CongestionAlgorithm
  /** COPT: connection options for this side's hello, four-character tags such as `SPSH`. */
  connectionOptions?: readonly string[]
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
    connectionOptions: o.connectionOptions ?? base.connectionOptions,
    forceHolBlocking: o.forceHolBlocking ?? base.forceHolBlocking
  }
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
