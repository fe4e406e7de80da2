/**
 * What a session needs of its connection. QuicConnection implements it; tests of sessions and streams use a fake.
 */
import type { ConnectionId } from '../connection-id.js'
import type { HandshakeDescription } from '../handshake/handshake.js'
import type { Micros, PeerAddress, Perspective } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'

/** A connection as its session sees it. */
export interface SessionConnection {
  readonly perspective: Perspective
  readonly connectionId: ConnectionId
  readonly version: QuicVersion
  readonly peerAddress: PeerAddress
  /** False once the connection is closed, by either side. */
  readonly connected: boolean
  /** Whether application data may be sent. */
  readonly encryptionEstablished: boolean
  /** Smoothed round-trip time, µs (the initial guess before the first sample). */
  readonly smoothedRtt: Micros
  /** The time given to the entry point that is running, or ran last. */
  readonly now: Micros
  describeHandshake(): HandshakeDescription
  /** Tells the driver that there is something to send. Cheap, and free when called again before the next transmit. */
  wake(): void
  /** Closes the connection: CONNECTION_CLOSE goes out with the next transmit, `onConnectionClosed` is called at once. */
  close(errorCode: number, details: string): void
}
