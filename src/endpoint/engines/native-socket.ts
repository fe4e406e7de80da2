/**
 * A socket of the native engine: many datagrams a system call, both ways.
 */
import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import type { PacketBatch, PacketSealer } from '../../quic/crypto/protection.js'
import type { LateSealer, Transmit } from '../../quic/transport/transmit.js'
import type { Micros, PeerAddress } from '../../quic/types.js'
import { RECEIVE_BUDGET, type DatagramHandler, type DatagramSocket } from '../datagram-engine.js'
import { MESSAGE_WORDS, Outcome, Ready, type NativeUdpSocket } from './native-addon.js'
import { NativeSealer } from './native-aead.js'
import type { NativeAddressBook } from './native-addresses.js'
import { RECEIVE_SLOT, RECEIVE_SLOTS, TransmitList, type PendingTransmits, type ReceivePool, type SendArena } from './native-memory.js'
import type { SealingList } from './native-sealings.js'

const { EAGAIN, EBADF, EINVAL, EMSGSIZE } = constants.errno
// Messages that the kernel has joined hold dozens of datagrams each: fewer of them are work enough for one time.
const JOINED_SLOTS = 4

/** What sockets of one engine share. */
export interface NativeShared {
  readonly pool: ReceivePool
  readonly arena: SendArena
  readonly addresses: NativeAddressBook
  /** Told what the system turned out not to have. */
  onLost(bits: number): void
}

/** An error as Node words those of the system. */
export function systemError(syscall: string, errno: number, address?: string, port?: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno)
  const where = address === undefined ? '' : ` ${address}${port === undefined ? '' : `:${port}`}`
  const facts = { errno: -errno, code, syscall, ...(address !== undefined && { address, port }) }
  return Object.assign(new Error(`${syscall} ${code}${where}`), facts)
}

/** See the file comment. */
export class NativeDatagramSocket implements DatagramSocket, LateSealer {
  /** What only the socket itself has, and nothing that is wrapped around it or made of it. */
  readonly #itself = true
  readonly receiveMemory: Uint8Array
  private slots = RECEIVE_SLOTS
  private batchSize = 0
  /** When messages were received last, ms, and how long before the batch that is being handed over that was, µs. */
  private receivedAt = 0
  private behind: Micros = 0
  private readonly outcome = new Int32Array(Outcome.Words)
  private pending: PendingTransmits | undefined
  /** The error that sending met last, until it meets none: one message for it is enough. */
  private lastSendError = 0
  private closed = false

  constructor(
    private readonly native: NativeUdpSocket,
    readonly localAddress: PeerAddress,
    readonly receiveBufferSize: number,
    private readonly handler: DatagramHandler,
    private readonly shared: NativeShared
  ) {
    this.receiveMemory = shared.pool.bytes
    const error = native.start(this.onReady)
    if (error !== 0) throw systemError('poll', error)
  }

  private readonly onReady = (bits: number): void => {
    if ((bits & Ready.Send) !== 0) this.onRoom()
    if ((bits & Ready.Receive) !== 0 && !this.closed) this.receive()
  }

  private receive(): void {
    const { pool } = this.shared
    const count = this.native.receive(pool.bytes, RECEIVE_SLOT, this.slots, pool.messages)
    if (count < 0) {
      this.onReceiveError(-count)
      return
    }
    this.receivedAt = performance.now()
    this.behind = 0
    let joined = false
    for (let slot = 0; slot < count && !this.closed; slot++) {
      if (this.deliver(slot)) joined = true
    }
    this.slots = joined ? JOINED_SLOTS : RECEIVE_SLOTS
    if (this.batchSize > 0) this.endBatch()
  }

  /** Hands over the datagrams of a message; whether there are several. */
  private deliver(slot: number): boolean {
    const { pool, addresses } = this.shared
    const at = slot * MESSAGE_WORDS
    const length = pool.messages[at]!
    const size = pool.messages[at + 1]!
    const cutOff = pool.messages[at + 2] !== 0
    const age = pool.messages[at + 3]!
    const from = addresses.of(pool.messages, at + 4)
    if (cutOff) return false
    if (size === 0 || size >= length) {
      this.deliverOne(from, pool.view(slot, 0, 0, length), age)
      return false
    }
    for (let n = 0, offset = 0; offset < length && !this.closed; n++, offset += size) {
      this.deliverOne(from, pool.view(slot, n, offset, Math.min(size, length - offset)), age)
    }
    return true
  }

  private deliverOne(from: PeerAddress, bytes: Uint8Array, age: Micros): void {
    this.handler.onDatagram(from, bytes, age + this.behind)
    if (++this.batchSize >= RECEIVE_BUDGET) this.endBatch()
  }

  private endBatch(): void {
    this.batchSize = 0
    if (this.closed) return
    this.handler.onBatchEnd()
    this.behind = Math.round((performance.now() - this.receivedAt) * 1000)
  }

  private onReceiveError(errno: number): void {
    if (errno === EAGAIN) return
    // What is no descriptor stays none: polling it would go on for ever.
    if (errno === EBADF) void this.close()
    this.handler.onSocketError(systemError('recvmsg', errno))
  }

  acquireBuffer(): Uint8Array {
    return this.shared.arena.acquire(this)
  }

  /** Who stands around the socket may look at what it is given to send, and gets it sealed. */
  get lateSealer(): LateSealer | undefined {
    return #itself in this ? this : undefined
  }

  takeSealing(sealer: PacketSealer, batch: PacketBatch): boolean {
    const { arena } = this.shared
    // What is not going to be sent need not wait.
    if (this.closed || this.pending !== undefined) return false
    if (!(sealer instanceof NativeSealer) || !arena.isCurrent(this, batch.buffer)) return false
    arena.note(sealer, batch)
    return true
  }

  send(transmit: Transmit, bytes: Uint8Array): boolean {
    if (this.closed) return true
    const { arena, addresses } = this.shared
    const { to, length, segmentSize, delay = 0 } = transmit
    const record = addresses.recordOf(to)
    if (record === undefined) {
      this.onSendError(EINVAL, to, length)
      return true
    }
    if (!arena.isCurrent(this, bytes)) return this.sendForeign(to, record, transmit, bytes)
    return arena.take(to, record, length, segmentSize, delay) ? this.flush() : true
  }

  /** Sends what does not stand in the acquired buffer. */
  private sendForeign(to: PeerAddress, record: Int32Array, transmit: Transmit, bytes: Uint8Array): boolean {
    // It may be a piece of the arena.
    this.shared.arena.settle()
    const list = new TransmitList(1)
    list.add(to, record, 0, transmit.length, transmit.segmentSize, transmit.delay ?? 0)
    if (this.pending === undefined) this.pending = this.sendList(list, bytes)
    return this.pending === undefined
  }

  flush(): boolean {
    const { arena } = this.shared
    const gathered = arena.gatheredBy(this)
    if (gathered === undefined) return this.pending === undefined
    if (this.pending === undefined && !this.closed) this.sendGathered(gathered, arena)
    else arena.drop()
    return this.pending === undefined
  }

  private sendGathered(gathered: TransmitList, arena: SendArena): void {
    try {
      this.pending = this.sendList(gathered, arena.bytes, arena.sealings)
    } catch (error) {
      arena.drop()
      throw error
    }
    arena.clear()
  }

  /**
   * Sends it all, but for what the kernel has no room for: that is kept, and the socket says when there is room.
   * @param sealings what is to be sealed first
   */
  private sendList(list: TransmitList, bytes: Uint8Array, sealings?: SealingList): PendingTransmits | undefined {
    const { native, outcome } = this
    let clean = true
    for (let next = 0; next < list.count; ) {
      sealings?.sealNoted(bytes)
      native.send(bytes, list.words, next, list.count, outcome, sealings?.words, sealings?.giveOut())
      next = outcome[Outcome.Next]!
      const error = outcome[Outcome.Error]!
      if (outcome[Outcome.Lost] !== 0) this.shared.onLost(outcome[Outcome.Lost]!)
      if (error === EAGAIN) {
        native.watchWritable(1)
        return list.rest(bytes, next)
      }
      if (error === 0) break
      clean = false
      this.onSendError(error, list.peers[outcome[Outcome.ErrorAt]!]!, outcome[Outcome.ErrorSize]!)
      if (this.closed) return undefined
    }
    if (clean) this.lastSendError = 0
    return undefined
  }

  private onSendError(errno: number, to: PeerAddress, size: number): void {
    if (errno === EMSGSIZE) {
      this.handler.onTooBig(to, size)
    } else if (errno !== this.lastSendError) {
      this.lastSendError = errno
      this.handler.onSocketError(systemError('sendmsg', errno, to.address, to.port))
    }
  }

  private onRoom(): void {
    if (this.pending === undefined || this.closed) return
    const { list, bytes } = this.pending
    this.pending = this.sendList(list, bytes)
    if (this.pending !== undefined || this.closed) return
    this.native.watchWritable(0)
    this.handler.onWritable()
  }

  kernelDrops(): number | undefined {
    const drops = this.closed ? -1 : this.native.kernelDrops()
    return drops < 0 ? undefined : drops
  }

  close(): Promise<void> {
    if (!this.closed) {
      this.flush()
      this.closed = true
      this.native.close()
    }
    return Promise.resolve()
  }
}
