import { describe, expect, it } from 'vitest'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { TimeWaitList } from '../../../src/quic/transport/time-wait-list.js'

const id = (n: number): ConnectionId => ConnectionId.read(Uint8Array.of(n, 0, 0, 0, 0, 0, 0, 1))

describe('TimeWaitList', () => {
  it('answers the 1st, 2nd, 4th, 8th … packet and no other', () => {
    const list = new TimeWaitList()
    const termination = Uint8Array.of(1, 2, 3)
    list.add(0, id(1), termination)
    const answered: number[] = []
    for (let n = 1; n <= 20; n++) if (list.onPacket(id(1).low, id(1).high) === termination) answered.push(n)
    expect(answered).toEqual([1, 2, 4, 8, 16])
  })

  it('answers with a public reset where no packet ended the connection', () => {
    const list = new TimeWaitList()
    list.add(0, id(1), undefined)
    expect(list.onPacket(id(1).low, id(1).high)).toBe('public-reset')
    expect(list.onPacket(id(2).low, id(2).high)).toBe('silence')
  })

  it('forgets after 200 s', () => {
    const list = new TimeWaitList()
    list.add(1000, id(1), undefined)
    list.add(2000, id(2), undefined)
    expect(list.nextExpiry()).toBe(200_001_000)
    list.expire(200_001_000)
    expect(list.has(id(1).low, id(1).high)).toBe(false)
    expect(list.has(id(2).low, id(2).high)).toBe(true)
  })

  it('lets the oldest go when it is full, and keeps its order over many', () => {
    const list = new TimeWaitList(1_000_000, 100)
    for (let n = 0; n < 10_000; n++) list.add(n, ConnectionId.read(new Uint8Array(new Uint32Array([n, 7]).buffer)), undefined)
    expect(list.size).toBe(100)
    expect(list.has(9899, 7)).toBe(false)
    expect(list.has(9900, 7)).toBe(true)
    expect(list.nextExpiry()).toBe(1_009_900)
  })
})
