/** The table of a session's streams: what a Map by id would do, and nothing that is over kept alive by it. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StreamTable } from '../../../src/quic/transport/streams/stream-table.js'
import { ensureBuilt, projectRoot } from '../../helpers/build.js'

interface Named {
  readonly id: number
  readonly tag: number
}

describe('a table of streams', () => {
  it('holds what a Map by id would hold, whatever is done to it', () => {
    // Few ids and many that share their home slot, so that searches cross each other and holes are filled across the end.
    const id = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 0, max: 40 }).map((n) => 5 + n * 32))
    const step = fc.record({ what: fc.constantFrom('set', 'set', 'delete', 'get'), id })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new StreamTable<Named>()
        const map = new Map<number, Named>()
        steps.forEach((step, tag) => {
          if (step.what === 'set') {
            const stream = { id: step.id, tag }
            table.set(stream)
            map.set(step.id, stream)
          } else if (step.what === 'delete') {
            expect(table.delete(step.id)).toBe(map.delete(step.id))
          }
          expect(table.get(step.id)).toBe(map.get(step.id))
          expect(table.size).toBe(map.size)
        })
        expect([...table]).toEqual([...map.values()].sort((a, b) => a.id - b.id))
        const ids = Array.from({ length: 1400 }, (_, other) => other)
        expect(ids.filter((other) => table.get(other) !== map.get(other))).toEqual([])
      }),
      { numRuns: 300 }
    )
  })

  it('finds ids of 32 bits', () => {
    const table = new StreamTable<Named>()
    for (const id of [0xffff_ffff, 0xffff_fffe, 0x8000_0001, 1]) table.set({ id, tag: 0 })
    expect([...table].map(({ id }) => id)).toEqual([1, 0x8000_0001, 0xffff_fffe, 0xffff_ffff])
    expect(table.delete(0x8000_0001)).toBe(true)
    expect(table.get(0x8000_0001)).toBe(undefined)
    expect(table.get(0xffff_ffff)!.id).toBe(0xffff_ffff)
  })

  it('is gone through as it was, whatever is done on the way', () => {
    const table = new StreamTable<Named>()
    for (let id = 1; id < 40; id += 2) table.set({ id, tag: 0 })
    const seen: number[] = []
    for (const { id } of table) {
      seen.push(id)
      table.delete(id)
      table.set({ id: id + 100, tag: 0 })
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => 1 + i * 2))
    expect(table.size).toBe(20)
  })

  it('is empty after being cleared, and takes streams again', () => {
    const table = new StreamTable<Named>()
    for (let id = 1; id < 40; id++) table.set({ id, tag: 0 })
    table.clear()
    expect([table.size, table.get(7), [...table]]).toEqual([0, undefined, []])
    table.set({ id: 7, tag: 1 })
    expect(table.get(7)!.tag).toBe(1)
  })

  it('lets streams die young, even after a collection that made it old', async () => {
    await ensureBuilt()
    const script = join(projectRoot, 'test/helpers/young-deaths.mjs')
    const trace = execFileSync(process.execPath, ['--expose-gc', '--trace-gc-nvp', script], { encoding: 'utf8' })
    // ` promoted=0` up to Node 24, `"promoted":0` from 26 on.
    const promoted = Array.from(trace.matchAll(/\bpromoted(?:=|":)(\d+)/g), ([, bytes]) => Number(bytes))
    expect(promoted.length).toBeGreaterThan(20)
    // 200 MB are made; with a Map most of it would grow old.
    expect(promoted.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(2_000_000)
  })
})
