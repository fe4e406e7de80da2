import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DeadlineHeap, type HeapMember } from '../../../src/quic/transport/deadline-heap.js'

const member = (): HeapMember => ({ deadline: Infinity, heapIndex: -1 })

describe('DeadlineHeap', () => {
  it('agrees with sorting under any sequence of sets and removals', () => {
    const operation = fc.record({ at: fc.nat(19), deadline: fc.nat(1000), remove: fc.boolean() })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const heap = new DeadlineHeap<HeapMember>()
        const members = Array.from({ length: 20 }, member)
        const model = new Map<HeapMember, number>()
        for (const { at, deadline, remove } of operations) {
          const chosen = members[at]!
          if (remove) {
            heap.remove(chosen)
            model.delete(chosen)
          } else {
            heap.set(chosen, deadline)
            model.set(chosen, deadline)
          }
          expect(heap.size).toBe(model.size)
          expect(heap.peek()?.deadline).toBe(model.size === 0 ? undefined : Math.min(...model.values()))
        }
        const drained: number[] = []
        for (let top = heap.peek(); top !== undefined; top = heap.peek()) {
          drained.push(top.deadline)
          heap.remove(top)
        }
        expect(drained).toEqual([...model.values()].sort((a, b) => a - b))
      })
    )
  })

  it('ignores the removal of a member that it does not hold', () => {
    const heap = new DeadlineHeap<HeapMember>()
    heap.remove(member())
    expect(heap.size).toBe(0)
  })
})
