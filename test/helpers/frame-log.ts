/**
 * A frame visitor that writes down what it is told, for tests of what parses frames.
 */
import type { AckFrame, FrameVisitor } from '../../src/quic/wire/frames/frames.js'

/** A parsed frame: its kind and what the visitor got, with bytes and ranges copied. */
export type LoggedFrame =
  | { kind: 'padding'; length: number }
  | { kind: 'stream'; streamId: number; offset: number; fin: boolean; data: Uint8Array }
  | { kind: 'crypto'; offset: number; data: Uint8Array }
  | {
      kind: 'ack'
      largestAcked: number
      ackDelay: number
      ranges: [number, number][]
      /** These two in versions with entropy only. */
      entropyHash?: number
      truncated?: boolean
    }
  | { kind: 'stopWaiting'; leastUnacked: number; entropyHash?: number }
  | { kind: 'message'; data: Uint8Array }
  | { kind: 'entropyFlag'; entropy: boolean }
  | { kind: 'rstStream'; streamId: number; errorCode: number; finalOffset: number }
  | { kind: 'connectionClose'; errorCode: number; reason: string }
  | { kind: 'goAway'; errorCode: number; lastGoodStreamId: number; reason: string }
  | { kind: 'windowUpdate'; streamId: number; limit: number }
  | { kind: 'blocked'; streamId: number }
  | { kind: 'ping' }
  | { kind: 'pathClose'; pathId: number }

/** Collects frames in wire order. */
export class FrameLog implements FrameVisitor {
  readonly frames: LoggedFrame[] = []

  onEntropyFlag(entropy: boolean): void {
    this.frames.push({ kind: 'entropyFlag', entropy })
  }
  onCrypto(offset: number, buffer: Uint8Array, start: number, end: number): void {
    this.frames.push({ kind: 'crypto', offset, data: Uint8Array.from(buffer.subarray(start, end)) })
  }
  onMessage(buffer: Uint8Array, start: number, end: number): void {
    this.frames.push({ kind: 'message', data: Uint8Array.from(buffer.subarray(start, end)) })
  }
  onPadding(length: number): void {
    this.frames.push({ kind: 'padding', length })
  }
  onStream(streamId: number, offset: number, fin: boolean, buffer: Uint8Array, start: number, end: number): void {
    this.frames.push({ kind: 'stream', streamId, offset, fin, data: Uint8Array.from(buffer.subarray(start, end)) })
  }
  onAck(ack: AckFrame, entropyHash: number, truncated: boolean): void {
    const ranges: [number, number][] = []
    for (let i = 0; i < ack.rangeCount; i++) ranges.push([ack.ranges[2 * i]!, ack.ranges[2 * i + 1]!])
    const { largestAcked, ackDelay } = ack
    const entropy = entropyHash < 0 ? {} : { entropyHash, truncated }
    this.frames.push({ kind: 'ack', largestAcked, ackDelay, ranges, ...entropy })
  }
  onStopWaiting(leastUnacked: number, entropyHash: number): void {
    this.frames.push({ kind: 'stopWaiting', leastUnacked, ...(entropyHash < 0 ? {} : { entropyHash }) })
  }
  onRstStream(streamId: number, errorCode: number, finalOffset: number): void {
    this.frames.push({ kind: 'rstStream', streamId, errorCode, finalOffset })
  }
  onConnectionClose(errorCode: number, reason: string): void {
    this.frames.push({ kind: 'connectionClose', errorCode, reason })
  }
  onGoAway(errorCode: number, lastGoodStreamId: number, reason: string): void {
    this.frames.push({ kind: 'goAway', errorCode, lastGoodStreamId, reason })
  }
  onWindowUpdate(streamId: number, limit: number): void {
    this.frames.push({ kind: 'windowUpdate', streamId, limit })
  }
  onBlocked(streamId: number): void {
    this.frames.push({ kind: 'blocked', streamId })
  }
  onPing(): void {
    this.frames.push({ kind: 'ping' })
  }
  onPathClose(pathId: number): void {
    this.frames.push({ kind: 'pathClose', pathId })
  }
}

/** An AckFrame of `[first, last]` ranges, highest first. */
export function ackOf(largestAcked: number, ackDelay: number, ranges: [number, number][]): AckFrame {
  return { largestAcked, ackDelay, rangeCount: ranges.length, ranges: Float64Array.from(ranges.flat()) }
}
