import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  LEVEL_DATA,
  LEVEL_FIN,
  LEVEL_URGENT,
  NOT_SCHEDULED,
  WRITE_TURN,
  WriteScheduler,
  type ScheduledStream
} from '../../../src/quic/transport/streams/write-scheduler.js'

class Stub implements ScheduledStream<Stub> {
  schedulerLevel = NOT_SCHEDULED
  schedulerBefore: Stub | undefined
  schedulerAfter: Stub | undefined
  constructor(readonly name: string) {}
}

/** Lets `steps` frames of `bytes` be written and tells who wrote them. */
function write(scheduler: WriteScheduler<Stub>, steps: number, bytes: number): string {
  let order = ''
  for (let i = 0; i < steps; i++) {
    const stream = scheduler.next(true)
    if (stream === undefined) break
    order += stream.name
    scheduler.onWritten(stream, bytes)
  }
  return order
}

describe('mechanism: priorities', () => {
  it('prefers the headers stream, then empty FINs, then lower priority numbers', () => {
    const scheduler = new WriteScheduler<Stub>()
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => new Stub(name)) as [Stub, Stub, Stub, Stub]
    scheduler.place(a, LEVEL_DATA + 7)
    scheduler.place(b, LEVEL_DATA)
    scheduler.place(c, LEVEL_FIN)
    scheduler.place(d, LEVEL_URGENT)
    const order: string[] = []
    for (let next = scheduler.next(true); next !== undefined; next = scheduler.next(true)) {
      order.push(next.name)
      scheduler.place(next, NOT_SCHEDULED)
    }
    expect(order).toEqual(['d', 'c', 'b', 'a'])
    expect(scheduler.hasReady(true)).toBe(false)
  })

  it('leaves out data streams when the connection has no window', () => {
    const scheduler = new WriteScheduler<Stub>()
    const data = new Stub('data')
    scheduler.place(data, LEVEL_DATA + 3)
    expect([scheduler.hasReady(false), scheduler.hasReady(true), scheduler.hasData]).toEqual([false, true, true])
    expect(scheduler.next(false)).toBeUndefined()
    const fin = new Stub('fin')
    scheduler.place(fin, LEVEL_FIN)
    expect(scheduler.next(false)).toBe(fin)
  })

  it('keeps what is ready when it frees memory, and begins anew where nothing was', () => {
    const scheduler = new WriteScheduler<Stub>()
    const others = new WriteScheduler<Stub>()
    const stream = new Stub('stream')
    scheduler.place(stream, LEVEL_DATA)
    scheduler.releaseMemory()
    expect(scheduler.next(true)).toBe(stream)
    scheduler.place(stream, NOT_SCHEDULED)
    scheduler.releaseMemory()
    expect([scheduler.next(true), scheduler.urgent]).toEqual([undefined, undefined])
    scheduler.forget(stream)
    scheduler.place(stream, LEVEL_URGENT)
    expect(scheduler.urgent).toBe(stream)
    expect([others.hasReady(true), others.urgent]).toEqual([false, undefined])
  })

  it('gives turns of 16000 bytes within a priority', () => {
    const scheduler = new WriteScheduler<Stub>()
    for (const name of ['a', 'b', 'c']) scheduler.place(new Stub(name), LEVEL_DATA + 3)
    expect(write(scheduler, 15, 4000)).toBe('aaaabbbbccccaaa')
  })

  it('lets a stream that ran dry in its turn go on with it, and one that used it up wait', () => {
    const scheduler = new WriteScheduler<Stub>()
    const [a, b] = [new Stub('a'), new Stub('b')]
    scheduler.place(a, LEVEL_DATA + 3)
    scheduler.place(b, LEVEL_DATA + 3)
    expect(write(scheduler, 1, 4000)).toBe('a')
    scheduler.place(a, NOT_SCHEDULED)
    scheduler.place(a, LEVEL_DATA + 3)
    expect(write(scheduler, 3, 4000)).toBe('aaa')
    expect(write(scheduler, 1, 4000)).toBe('b')
    scheduler.place(a, NOT_SCHEDULED)
    scheduler.place(a, LEVEL_DATA + 3)
    expect(write(scheduler, 4, 4000)).toBe('bbba')
  })

  it('keeps turns when a higher priority comes in between', () => {
    const scheduler = new WriteScheduler<Stub>()
    for (const name of ['a', 'b']) scheduler.place(new Stub(name), LEVEL_DATA + 3)
    expect(write(scheduler, 2, 4000)).toBe('aa')
    const urgent = new Stub('u')
    scheduler.place(urgent, LEVEL_DATA)
    expect(write(scheduler, 5, 4000)).toBe('uuuuu')
    scheduler.place(urgent, NOT_SCHEDULED)
    expect(write(scheduler, 4, 4000)).toBe('aabb')
  })

  it('is fair: equal streams never differ by more than a turn, under any interruptions', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.array(fc.nat(), { maxLength: 300 }), (count, picks) => {
        const scheduler = new WriteScheduler<Stub>()
        const streams = Array.from({ length: count }, (_, i) => new Stub(String(i)))
        const written = new Map(streams.map((stream) => [stream, 0]))
        for (const stream of streams) scheduler.place(stream, LEVEL_DATA + 3)
        for (const pick of picks) {
          const stream = scheduler.next(true)!
          const bytes = 1 + (pick % 1300)
          scheduler.onWritten(stream, bytes)
          written.set(stream, written.get(stream)! + bytes)
          const all = [...written.values()]
          expect(Math.max(...all) - Math.min(...all)).toBeLessThanOrEqual(WRITE_TURN + 1300 * count)
        }
      })
    )
  })

  it('equals lists per level under any moves', () => {
    const move = fc.tuple(fc.nat({ max: 9 }), fc.integer({ min: NOT_SCHEDULED, max: LEVEL_DATA + 7 }))
    fc.assert(
      fc.property(fc.array(move, { maxLength: 100 }), (moves) => {
        const scheduler = new WriteScheduler<Stub>()
        const streams = Array.from({ length: 10 }, (_, i) => new Stub(String(i)))
        const lists: Stub[][] = Array.from({ length: LEVEL_DATA + 8 }, () => [])
        for (const [index, level] of moves) {
          const stream = streams[index]!
          if (stream.schedulerLevel === level) continue
          for (const list of lists) {
            const at = list.indexOf(stream)
            if (at >= 0) list.splice(at, 1)
          }
          scheduler.place(stream, level)
          if (level !== NOT_SCHEDULED) lists[level]!.push(stream)
          expect(scheduler.next(true)).toBe(lists.flat()[0])
          expect(scheduler.next(false)).toBe([...lists[0]!, ...lists[1]!][0])
        }
        for (const expected of lists.flat()) {
          expect(scheduler.next(true)).toBe(expected)
          scheduler.forget(expected)
        }
        expect(scheduler.hasReady(true)).toBe(false)
      })
    )
  })
})
