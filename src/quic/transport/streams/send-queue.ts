/**
 * Everything that a session has to send, in its order: control frames, frames that were lost, the headers stream, then
 * data streams by priority.
 */
import type { PacketSink, StreamDataSource } from '../packets/packet-sink.js'
import { ControlFrameQueue } from './control-frames.js'
import type { QuicFlowController } from './flow-controller.js'
import { LostFrameQueue, type LostFrame } from './lost-frames.js'
import { WriteScheduler, type ScheduledStream } from './write-scheduler.js'

/** A stream as the sender sees it. */
export interface SendingStream<S> extends ScheduledStream<S> {
  readonly id: number
  readonly dataSource: StreamDataSource
  readonly countsForConnection: boolean
  wantedLevel(): number
  writeTo(packet: PacketSink, connectionWindow: number, begun: boolean): number
  moveTo(carrier: DataCarrier, connectionWindow: number): number
  afterWrite(): void
  needsRetransmission(offset: number, length: number, fin: boolean): boolean
}

/** The headers stream under forced head-of-line blocking: the data of all other streams goes through it. */
export interface DataCarrier {
  /** Whether it takes data now: what it took before has been sent, and its window is open. */
  readonly open: boolean
  /** Takes `[offset, offset + length)` of a stream's data, copying it. */
  writeData(streamId: number, source: StreamDataSource, offset: number, length: number, fin: boolean): void
  /** Data waits because it is not open: tells the peer if its window is the reason. */
  reportBlocked(): void
}

/** Finds streams that have, or had, something to send. */
export interface SendingStreams<S> {
  sendingStream(id: number): S | undefined
}

/** The sending side of one session. */
export class SendQueue<S extends SendingStream<S>> {
  readonly control = new ControlFrameQueue()
  private readonly lost = new LostFrameQueue()
  private readonly scheduler = new WriteScheduler<S>()
  private carrier: DataCarrier | undefined

  constructor(private readonly streams: SendingStreams<S>) {}

  /** Puts a stream where its state says. */
  reschedule(stream: S, connection: QuicFlowController): void {
    this.scheduler.place(stream, stream.wantedLevel())
    this.reportConnectionBlocked(connection)
  }

  /** A stream frame was lost. */
  onLost(streamId: number, offset: number, length: number, fin: boolean): void {
    this.lost.push(streamId, offset, length, fin)
  }

  /** Whether a lost frame has not been sent again. */
  isLost(streamId: number, offset: number): boolean {
    return this.lost.holds(streamId, offset)
  }

  /** The frame was not lost after all. */
  takeBackLost(streamId: number, offset: number): void {
    this.lost.remove(streamId, offset)
  }

  /** From now on no stream but the headers stream writes into packets: the others write into it. */
  carryDataOn(carrier: DataCarrier): void {
    this.carrier = carrier
  }

  /** Takes out a stream that will send nothing new any more. */
  forget(stream: S): void {
    this.scheduler.forget(stream)
  }

  /** Frees what only traffic needs. */
  releaseMemory(): void {
    this.scheduler.releaseMemory()
    this.lost.releaseMemory()
  }

  clear(): void {
    this.control.clear()
    this.lost.clear()
  }

  /** Whether {@link writeFrames} would add something to an empty packet. Costs next to nothing. */
  hasFrames(connection: QuicFlowController): boolean {
    return (
      this.control.pending > 0 ||
      this.nextStream(connection) !== undefined ||
      this.firstLost() !== undefined
    )
  }

  /** Fills the packet. */
  writeFrames(packet: PacketSink, connection: QuicFlowController): void {
    const room = packet.remaining
    if (!this.control.writeTo(packet) || !this.writeLost(packet)) return
    for (;;) {
      const stream = this.nextStream(connection)
      if (stream === undefined) break
      const carrier = stream.countsForConnection ? this.carrier : undefined
      const written =
        carrier === undefined
          ? stream.writeTo(packet, connection.sendWindow, packet.remaining < room)
          : stream.moveTo(carrier, connection.sendWindow)
      if (written < 0) return
      if (stream.countsForConnection) connection.addSent(written)
      this.scheduler.onWritten(stream, written)
      stream.afterWrite()
    }
    this.reportConnectionBlocked(connection)
  }

  private nextStream(connection: QuicFlowController): S | undefined {
    if (this.carrier?.open === false) return this.scheduler.urgent
    return this.scheduler.next(connection.sendWindow > 0)
  }

  /** The first lost frame that still matters; those that do not are dropped on the way to it. */
  private firstLost(): LostFrame | undefined {
    for (let frame = this.lost.first; frame !== undefined; frame = this.lost.first) {
      const stream = this.streams.sendingStream(frame.streamId)
      if (stream?.needsRetransmission(frame.offset, frame.length, frame.fin) === true) return frame
      this.lost.shift()
    }
    return undefined
  }

  private writeLost(packet: PacketSink): boolean {
    for (let frame = this.firstLost(); frame !== undefined; frame = this.firstLost()) {
      const { streamId, offset, length, fin } = frame
      const source = this.streams.sendingStream(streamId)!.dataSource
      if (packet.addStreamAgain(streamId, offset, length, fin, source)) this.lost.shift()
      else if (packet.fitsAlone(streamId, offset, length) || !this.writePartOfLost(packet, frame, source)) return false
    }
    return true
  }

  /** Packets have become smaller than the one that was lost: its frame goes in pieces. */
  private writePartOfLost(packet: PacketSink, frame: LostFrame, source: StreamDataSource): boolean {
    const capacity = packet.streamCapacity(frame.streamId, frame.offset)
    if (capacity <= 0 || !packet.mayCut) return false
    packet.addStream(frame.streamId, frame.offset, capacity, false, source)
    this.lost.cutFirst(capacity)
    return true
  }

  private reportConnectionBlocked(connection: QuicFlowController): void {
    if (connection.sendWindow === 0 && this.scheduler.hasData) connection.reportBlocked()
    if (this.carrier?.open === false && this.scheduler.hasReady(true)) this.carrier.reportBlocked()
  }
}
