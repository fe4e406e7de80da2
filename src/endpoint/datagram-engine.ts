/**
 * The seam between endpoints and the operating system: whoever moves datagrams implements this.
 */
import type { AeadProvider } from '../quic/crypto/protection.js'
import type { PeerAddress } from '../quic/types.js'
import type { Transmit } from '../quic/transport/transmit.js'

/** Receives what a socket has to say. */
export interface DatagramHandler {
  /** One datagram; the bytes are lent for the call. */
  onDatagram(from: PeerAddress, bytes: Uint8Array): void
  /** All datagrams that were waiting have been handed over. */
  onBatchEnd(): void
  /** Sending or receiving failed. The socket goes on unless it is closed. */
  onSocketError(error: Error): void
}

/** An open UDP socket. */
export interface DatagramSocket {
  readonly localAddress: PeerAddress
  /** What the kernel granted for receiving, in bytes. */
  readonly receiveBufferSize: number
  /** A buffer for the next transmit, of at least TRANSMIT_BUFFER_SIZE bytes; its content is nobody's yet. */
  acquireBuffer(): Uint8Array
  /** Sends the packets of `transmit`, which stand in the last acquired buffer. Never blocks; loss is the network's right. */
  send(transmit: Transmit, bytes: Uint8Array): void
  close(): Promise<void>
}

/** What to open. */
export interface SocketOptions {
  /** Local IP address. */
  address: string
  /** Local port, 0 for any. */
  port: number
  /** If given, the socket is connected: it receives from nobody else and learns of unreachable ports. */
  connectTo?: PeerAddress
  /** Wanted kernel receive buffer, bytes. */
  receiveBufferSize?: number
  handler: DatagramHandler
}

/** A way of moving and protecting datagrams. */
export interface DatagramEngine {
  readonly name: string
  readonly aeadProvider: AeadProvider
  /** Opens a socket. Rejects with the system's error (`code` EADDRINUSE, EACCES, …). */
  open(options: SocketOptions): Promise<DatagramSocket>
}
