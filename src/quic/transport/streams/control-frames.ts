/**
 * Control frames that wait to be sent: GOAWAY, RST_STREAM, WINDOW_UPDATE, BLOCKED. A WINDOW_UPDATE is written with the
 * limit that holds when it goes out, so any number of updates waiting for one stream are one frame.
 */
import { SentFrameKind, type SentFrame } from '../../recovery/sent-frame.js'
import type { PacketSink } from '../packets/packet-sink.js'
import type { FlowControlFrames, QuicFlowController } from './flow-controller.js'

/** A peer that makes us owe more resets than this, and takes none of them, is not served any longer. */
export const MAX_PENDING_RESETS = 10_000

interface PendingReset {
  readonly streamId: number
  readonly errorCode: number
  readonly finalOffset: number
}

interface PendingGoAway {
  readonly errorCode: number
  readonly lastGoodStreamId: number
  readonly reason: string
}

/** The queue of one session. */
export class ControlFrameQueue implements FlowControlFrames {
  private readonly updates: QuicFlowController[] = []
  private readonly blocked: QuicFlowController[] = []
  private readonly resets: PendingReset[] = []
  private firstReset = 0
  private goAway: PendingGoAway | undefined
  /** The one that was last queued: what is repeated when it is lost. */
  private lastGoAway: PendingGoAway | undefined
  /** Frames that are really wanted: entries of closed streams stay in the lists and are passed over. */
  private wanted = 0

  /** How many frames wait. */
  get pending(): number {
    return this.wanted
  }

  queueWindowUpdate(controller: QuicFlowController): void {
    if (controller.updateQueued) return
    controller.updateQueued = true
    this.updates.push(controller)
    this.wanted++
  }

  queueBlocked(controller: QuicFlowController): void {
    if (controller.blockedQueued) return
    controller.blockedQueued = true
    this.blocked.push(controller)
    this.wanted++
  }

  /** @returns false if the peer made too many resets necessary */
  queueReset(streamId: number, errorCode: number, finalOffset: number): boolean {
    if (this.resets.length - this.firstReset >= MAX_PENDING_RESETS) return false
    this.resets.push({ streamId, errorCode, finalOffset })
    this.wanted++
    return true
  }

  queueGoAway(errorCode: number, lastGoodStreamId: number, reason: string): void {
    if (this.goAway === undefined) this.wanted++
    this.goAway = { errorCode, lastGoodStreamId, reason }
    this.lastGoAway = this.goAway
  }

  /**
   * A control frame other than RST_STREAM was lost: it is queued again if what it says still holds.
   * @param controller that of the frame's stream, if that still exists
   */
  onLost(frame: SentFrame, controller: QuicFlowController | undefined): void {
    if (frame.kind === SentFrameKind.GoAway) {
      const last = this.lastGoAway
      if (last !== undefined) this.queueGoAway(last.errorCode, last.lastGoodStreamId, last.reason)
    } else if (frame.kind === SentFrameKind.WindowUpdate) {
      // A higher limit was sent since, or waits to be: then this one says nothing new.
      if (controller?.receiveLimit === frame.offset) this.queueWindowUpdate(controller)
    } else if (frame.kind === SentFrameKind.Blocked) {
      if (controller?.sendWindow === 0) this.queueBlocked(controller)
    }
  }

  /** Withdraws what waits for a stream that is closed. */
  forget(controller: QuicFlowController): void {
    if (controller.updateQueued) this.wanted--
    if (controller.blockedQueued) this.wanted--
    controller.updateQueued = false
    controller.blockedQueued = false
    if (this.wanted === 0) this.clear()
  }

  /** Drops everything: the connection is closed. */
  clear(): void {
    for (const controller of this.updates) controller.updateQueued = false
    for (const controller of this.blocked) controller.blockedQueued = false
    this.updates.length = 0
    this.blocked.length = 0
    this.resets.length = 0
    this.firstReset = 0
    this.goAway = undefined
    this.wanted = 0
  }

  /** Writes what fits. @returns whether all of it did */
  writeTo(packet: PacketSink): boolean {
    if (this.wanted === 0) return true
    if (!this.writeGoAway(packet) || !this.writeResets(packet) || !this.writeFlowControl(packet)) return false
    this.clear()
    return true
  }

  private writeGoAway(packet: PacketSink): boolean {
    const frame = this.goAway
    if (frame === undefined) return true
    if (!packet.addGoAway(frame.errorCode, frame.lastGoodStreamId, frame.reason)) return false
    this.goAway = undefined
    this.wanted--
    return true
  }

  private writeResets(packet: PacketSink): boolean {
    while (this.firstReset < this.resets.length) {
      const { streamId, errorCode, finalOffset } = this.resets[this.firstReset]
      if (!packet.addRstStream(streamId, errorCode, finalOffset)) return false
      this.firstReset++
      this.wanted--
      if (this.firstReset >= 64 && this.firstReset * 2 >= this.resets.length) {
        this.resets.splice(0, this.firstReset)
        this.firstReset = 0
      }
    }
    return true
  }

  // The order among these does not matter, so they are taken from the end.
  private writeFlowControl(packet: PacketSink): boolean {
    for (let controller = this.updates.at(-1); controller !== undefined; controller = this.updates.at(-1)) {
      if (controller.updateQueued) {
        if (!packet.addWindowUpdate(controller.id, controller.receiveLimit)) return false
        controller.updateQueued = false
        this.wanted--
      }
      this.updates.pop()
    }
    for (let controller = this.blocked.at(-1); controller !== undefined; controller = this.blocked.at(-1)) {
      if (controller.blockedQueued) {
        if (!packet.addBlocked(controller.id)) return false
        controller.blockedQueued = false
        this.wanted--
      }
      this.blocked.pop()
    }
    return true
  }
}
