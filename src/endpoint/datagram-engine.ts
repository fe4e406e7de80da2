/**
 * The seam between endpoints and the operating system: whoever moves datagrams implements this.
 */
import type { AeadProvider } from '../quic/crypto/protection.js'
import { MAX_DATAGRAMS } from '../quic/transport/datagram-batch.js'
import type { Micros, PeerAddress } from '../quic/types.js'
import type { LateSealer, Transmit } from '../quic/transport/transmit.js'

/**
 * The most datagrams that an engine hands over before it says onBatchEnd, so that a flood of them starves neither
 * acknowledgements nor timers nor the rest of the program.
 */
export const RECEIVE_BUDGET = MAX_DATAGRAMS

/** Receives what a socket has to say. */
export interface DatagramHandler {
  /**
   * One datagram. The bytes are lent until {@link onBatchEnd} returns, and may be decrypted in place.
   * @param age for how long the system had it when this batch began, µs; missing where the system does not tell
   */
  onDatagram(from: PeerAddress, bytes: Uint8Array, age?: Micros): void
  /** All datagrams that were waiting have been handed over, or {@link RECEIVE_BUDGET} of them. */
  onBatchEnd(): void
  /** There is room again after {@link DatagramSocket.send} answered false. Never called from within send. */
  onWritable(): void
  /** The system refused to send a datagram of this size to this address (EMSGSIZE); it is lost. */
  onTooBig(to: PeerAddress, size: number): void
  /** Sending or receiving failed. The socket goes on unless it is closed. */
  onSocketError(error: Error): void
}

/** An open UDP socket. */
export interface DatagramSocket {
  readonly localAddress: PeerAddress
  /** What the kernel granted for receiving, in bytes. */
  readonly receiveBufferSize: number
  /** All datagrams that are handed over stand in here, so that several can be decrypted with one call; missing where they do not. */
  readonly receiveMemory?: Uint8Array
  /** A buffer for the next transmit, of at least TRANSMIT_BUFFER_SIZE bytes; its content is nobody's yet. */
  acquireBuffer(): Uint8Array
  /**
   * For an endpoint's pollTransmit, if the socket can seal what it sends; whoever passes it hands the buffer to
   * {@link send} untouched. Without it all packets come sealed.
   */
  readonly lateSealer?: LateSealer | undefined
  /**
   * Sends the packets of `transmit`, which stand in the last acquired buffer. Never blocks; loss is the network's right.
   * @returns false if the socket has no room for more: it keeps what it was given, in order, and nothing more may be
   *   sent before {@link DatagramHandler.onWritable}
   */
  send(transmit: Transmit, bytes: Uint8Array): boolean
  /**
   * The turn has come to its end: whatever {@link send} has gathered goes to the system now.
   * @returns false as send does
   */
  flush(): boolean
  /**
   * How many datagrams the kernel has thrown away so far because this socket's receive buffer was full; undefined if it
   * does not tell, or not yet. Never waits for the system: what it says may be some time old.
   */
  kernelDrops(): number | undefined
  close(): Promise<void>
}

/** How sockets share one address and port. */
export interface ReusePort {
  /**
   * How many sockets there will be. Arriving datagrams are given out by connection id, whatever address they come from:
   * the sockets are counted in the order in which they were opened, and datagrams for one that is not open yet, like
   * those without a readable id, go where the kernel's hash of the addresses puts them. When one is closed, the last of
   * them takes its place in the count, and the next to be opened comes last.
   */
  readonly count: number
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
  /**
   * One of several sockets, of this process or of others of the same user, that share address and port. Every one of
   * them has to say so, with the same count. `open` rejects with ERR_FEATURE_UNAVAILABLE where the engine has no such thing.
   */
  reusePort?: ReusePort
  /** File descriptor of a socket of a {@link SocketGroup}: it is read from, and closed, instead of opening one. */
  fd?: number
  handler: DatagramHandler
}

/** What group of sockets to open. */
export interface SocketGroupOptions {
  /** Local IP address. */
  address: string
  /** Local port, 0 for any. */
  port: number
  /** How many sockets, at least 1. */
  count: number
  /** Wanted kernel receive buffer of each, bytes. */
  receiveBufferSize?: number
}

/**
 * Sockets that share an address and port, each for another process to read from. Whoever holds the group keeps each of
 * them in its place while the process that reads it is replaced: no datagram ever goes to another one.
 */
export interface SocketGroup {
  readonly localAddress: PeerAddress
  /** File descriptors, to be inherited by other processes: {@link socketOf} tells which of them gets what. */
  readonly fds: readonly number[]
  close(): void
}

/**
 * Which socket of a group, or of those that share a port, gets the datagrams of a connection.
 *
 * @param connectionId its 8 bytes as on the wire
 */
export function socketOf(connectionId: Uint8Array, count: number): number {
  const view = new DataView(connectionId.buffer, connectionId.byteOffset, 8)
  return ((view.getUint32(0) ^ view.getUint32(4)) >>> 0) % count
}

/** A way of moving and protecting datagrams. */
export interface DatagramEngine {
  readonly name: string
  readonly aeadProvider: AeadProvider
  /** Opens a socket. Rejects with the system's error (`code` EADDRINUSE, EACCES, …). */
  open(options: SocketOptions): Promise<DatagramSocket>
  /** Opens sockets for other processes to read from; missing where that is impossible. Rejects like {@link open}. */
  openGroup?(options: SocketGroupOptions): Promise<SocketGroup>
}
