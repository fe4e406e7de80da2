/**
 * What a session can be told at its making, and what the reference program's client and server use.
 */
import { DEFAULT_MAX_STREAMS } from './streams/stream-id-manager.js'

/** Limits that a session grants to its peer. They must be the ones that the handshake announces. */
export interface SessionOptions {
  /** SFCW: what the peer may have outstanding on a stream, bytes (at least 16 KiB). */
  streamWindow: number
  /** CFCW: the same for the connection, bytes. */
  connectionWindow: number
  /** MIDS: how many streams the peer may have open. */
  maxIncomingStreams: number
  /** Whether windows grow while they are what holds the peer up. */
  autoTune: boolean
  /** Bytes that a stream buffers before write() answers false; 64 KiB unless told. */
  highWaterMark?: number
  /** COPT: the connection options that this side's hello carries, four-character tags. */
  connectionOptions?: readonly string[]
  /** FHOL: whether this side's hello asks for forced head-of-line blocking (clients). */
  forceHolBlocking?: boolean
}

/** Bytes that a stream buffers before write() answers false, unless told otherwise. */
export const DEFAULT_HIGH_WATER_MARK = 64 * 1024

/** Windows of the reference's client: quic_client_base.cc. */
export const clientSessionDefaults: Readonly<SessionOptions> = {
  streamWindow: 6 * 1024 * 1024,
  connectionWindow: 15 * 1024 * 1024,
  maxIncomingStreams: DEFAULT_MAX_STREAMS,
  autoTune: false
}

/** Windows of the reference's server: quic_server.cc. Small, so that many clients cost little, and auto-tuned. */
export const serverSessionDefaults: Readonly<SessionOptions> = {
  streamWindow: 64 * 1024,
  connectionWindow: 1024 * 1024,
  maxIncomingStreams: DEFAULT_MAX_STREAMS,
  autoTune: true
}
