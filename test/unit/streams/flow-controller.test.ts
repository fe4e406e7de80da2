import { beforeEach, describe, expect, it } from 'vitest'
import {
  MAX_CONNECTION_WINDOW,
  MAX_STREAM_WINDOW,
  QuicFlowController
} from '../../../src/quic/transport/streams/flow-controller.js'

const clock = { now: 1_000_000, smoothedRtt: 10_000 }
let updates: number[]
let blocked: number[]
const frames = {
  queueWindowUpdate: (controller: QuicFlowController) => updates.push(controller.receiveLimit),
  queueBlocked: (controller: QuicFlowController) => blocked.push(controller.id)
}

beforeEach(() => {
  clock.now = 1_000_000
  clock.smoothedRtt = 10_000
  updates = []
  blocked = []
})

function receive(controller: QuicFlowController, bytes: number): void {
  controller.raiseReceived(controller.highestReceived + bytes)
  controller.addConsumed(bytes)
}

describe('mechanism: flow control', () => {
  it('opens the window when less than half of it is left', () => {
    const controller = new QuicFlowController(5, 0, 1000, false, frames, clock)
    receive(controller, 500)
    expect(updates).toEqual([])
    receive(controller, 1)
    expect(updates).toEqual([1501])
    receive(controller, 500)
    expect(updates).toEqual([1501])
  })

  it('opens nothing for data that is received and not consumed', () => {
    const controller = new QuicFlowController(5, 0, 1000, true, frames, clock)
    expect(controller.raiseReceived(1000)).toBe(true)
    expect(updates).toEqual([])
    expect(controller.receiveLimit).toBe(1000)
    expect(controller.raiseReceived(1001)).toBe(false)
  })

  it('doubles the window when updates follow within two round trips, up to the caps', () => {
    const stream = new QuicFlowController(5, 0, 64 * 1024, true, frames, clock)
    receive(stream, 40_000)
    expect(stream.receiveWindow).toBe(64 * 1024)
    clock.now += 19_999
    receive(stream, 40_000)
    expect(stream.receiveWindow).toBe(128 * 1024)
    clock.now += 20_000
    receive(stream, 70_000)
    expect(stream.receiveWindow).toBe(128 * 1024)
    for (let i = 0; i < 40; i++) receive(stream, stream.receiveLimit - stream.consumed)
    expect(stream.receiveWindow).toBe(MAX_STREAM_WINDOW)
    const connection = new QuicFlowController(0, 0, 1024 * 1024, true, frames, clock)
    for (let i = 0; i < 40; i++) receive(connection, connection.receiveLimit - connection.consumed)
    expect(connection.receiveWindow).toBe(MAX_CONNECTION_WINDOW)
  })

  it('keeps its window without auto-tuning', () => {
    const controller = new QuicFlowController(5, 0, 1000, false, frames, clock)
    for (let i = 0; i < 20; i++) receive(controller, 600)
    expect(controller.receiveWindow).toBe(1000)
  })

  it('gives no limits beyond the end of the stream', () => {
    const controller = new QuicFlowController(5, 0, 1000, false, frames, clock)
    controller.finalOffset = 1400
    receive(controller, 600)
    expect(updates).toEqual([1600])
    receive(controller, 600)
    expect(updates).toEqual([1600])
  })

  it('says BLOCKED once for each limit', () => {
    const controller = new QuicFlowController(7, 100, 1000, false, frames, clock)
    controller.reportBlocked()
    expect(blocked).toEqual([])
    controller.addSent(100)
    controller.reportBlocked()
    controller.reportBlocked()
    expect(blocked).toEqual([7])
    expect(controller.raiseSendLimit(90)).toBe(false)
    expect(controller.raiseSendLimit(150)).toBe(true)
    expect(controller.raiseSendLimit(160)).toBe(false)
    controller.addSent(60)
    controller.reportBlocked()
    expect(blocked).toEqual([7, 7])
  })
})
