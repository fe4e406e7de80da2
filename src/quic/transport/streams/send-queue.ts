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
  afterWrite(): void
  needsRetransmission(offset: number, length: number, fin: boolean): boolean
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

  /** Takes out a stream that will send nothing new any more. */
  forget(stream: S): void {
    this.scheduler.forget(stream)
  }

  clear(): void {
    this.control.clear()
    this.lost.clear()
  }

  /** Whether {@link writeFrames} would add something to an empty packet. Costs next to nothing. */
  hasFrames(connection: QuicFlowController): boolean {
    return (
      this.control.pending > 0 ||
      this.scheduler.hasReady(connection.sendWindow > 0) ||
      this.firstLost() !== undefined
    )
  }

  /** Fills the packet. */
  writeFrames(packet: PacketSink, connection: QuicFlowController): void {
    const room = packet.remaining
    if (!this.control.writeTo(packet) || !this.writeLost(packet)) return
    for (;;) {
      const stream = this.scheduler.next(connection.sendWindow > 0)
      if (stream === undefined) break
      const written = stream.writeTo(packet, connection.sendWindow, packet.remaining < room)
      if (written < 0) return
      if (stream.countsForConnection) connection.addSent(written)
      this.scheduler.onWritten(stream, written)
      stream.afterWrite()
    }
    this.reportConnectionBlocked(connection)
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
      const source = this.streams.sendingStream(frame.streamId)!.dataSource
      if (!packet.addStreamAgain(frame.streamId, frame.offset, frame.length, frame.fin, source)) return false
      this.lost.shift()
    }
    return true
  }

  private reportConnectionBlocked(connection: QuicFlowController): void {
    if (connection.sendWindow === 0 && this.scheduler.hasData) connection.reportBlocked()
  }
}
