import { describe, expect, it } from 'vitest'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { TimeWaitList } from '../../../src/quic/transport/time-wait-list.js'

const id = (n: number): ConnectionId => ConnectionId.read(Uint8Array.of(n, 0, 0, 0, 0, 0, 0, 1))

describe('mechanism: time-wait list', () => {
  it('answers the 1st, 2nd, 4th, 8th … packet and no other', () => {
    const list = new TimeWaitList()
    const termination = [Uint8Array.of(1, 2, 3)]
    list.add(0, id(1), termination)
    const answered: number[] = []
    for (let n = 1; n <= 20; n++) if (list.onPacket(id(1).low, id(1).high) === termination) answered.push(n)
    expect(answered).toEqual([1, 2, 4, 8, 16])
  })

  it('answers with a public reset where no packet ended the connection', () => {
    const list = new TimeWaitList()
    list.add(0, id(1))
    expect(list.onPacket(id(1).low, id(1).high)).toBe('public-reset')
    expect(list.onPacket(id(2).low, id(2).high)).toBe('silence')
  })

  it('keeps no more bytes of answers than it may, those of the latest', () => {
    const list = new TimeWaitList(1_000_000, 100, 1000)
    const answers = Array.from({ length: 10 }, (_, n) => [new Uint8Array(150).fill(n), new Uint8Array(50).fill(n)])
    for (const [n, packets] of answers.entries()) list.add(n, id(n), packets)
    for (let n = 0; n < 5; n++) expect(list.onPacket(id(n).low, id(n).high)).toBe('public-reset')
    for (let n = 5; n < 10; n++) expect(list.onPacket(id(n).low, id(n).high)).toBe(answers[n])
    list.expire(1_000_007)
    list.add(1_000_008, id(20), [new Uint8Array(400)])
    list.add(1_000_009, id(21), [new Uint8Array(400)])
    expect(list.onPacket(id(8).low, id(8).high)).toBe('public-reset')
    expect(list.onPacket(id(9).low, id(9).high)).toBe(answers[9])
  })

  it('has room for a busy server', () => {
    const list = new TimeWaitList()
    for (let n = 0; n < 20_000; n++) list.add(n, ConnectionId.read(new Uint8Array(new Uint32Array([n, 7]).buffer)))
    expect(list.size).toBe(20_000)
  })

  it('forgets after 200 s', () => {
    const list = new TimeWaitList()
    list.add(1000, id(1))
    list.add(2000, id(2))
    expect(list.nextExpiry()).toBe(200_001_000)
    list.expire(200_001_000)
    expect(list.has(id(1).low, id(1).high)).toBe(false)
    expect(list.has(id(2).low, id(2).high)).toBe(true)
  })

  it('lets the oldest go when it is full, and keeps its order over many', () => {
    const list = new TimeWaitList(1_000_000, 100)
    for (let n = 0; n < 10_000; n++) list.add(n, ConnectionId.read(new Uint8Array(new Uint32Array([n, 7]).buffer)))
    expect(list.size).toBe(100)
    expect(list.has(9899, 7)).toBe(false)
    expect(list.has(9900, 7)).toBe(true)
    expect(list.nextExpiry()).toBe(1_009_900)
  })
})
