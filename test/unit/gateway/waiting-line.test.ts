/** The line of those who wait for a connection. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { WaitingLine, type Waiting } from '../../../src/gateway/waiting-line.js'

class Waiter implements Waiting<Waiter> {
  waits = false
  lineBefore: Waiter | undefined
  lineAfter: Waiter | undefined

  constructor(readonly name: number) {}
}

it('serves in the order of coming, whoever leaves in between, and lets nobody who is out lead to others', () => {
  const step = fc.oneof(
    fc.constant({ what: 'add' } as const),
    fc.constant({ what: 'shift' } as const),
    fc.record({ what: fc.constant('remove' as const), which: fc.nat(60) })
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const line = new WaitingLine<Waiter>()
      const everybody: Waiter[] = []
      let expected: Waiter[] = []
      for (const step of steps) {
        if (step.what === 'add') {
          const waiter = new Waiter(everybody.length)
          everybody.push(waiter)
          expected.push(waiter)
          line.add(waiter)
        } else if (step.what === 'shift') {
          expect(line.shift()).toBe(expected.shift())
        } else if (step.which < everybody.length) {
          const waiter = everybody[step.which]!
          expected = expected.filter((other) => other !== waiter)
          line.remove(waiter)
        }
        expect(line.length).toBe(expected.length)
        const out = everybody.filter((waiter) => !expected.includes(waiter))
        expect(out.every((w) => !w.waits && w.lineBefore === undefined && w.lineAfter === undefined)).toBe(true)
      }
      expect(Array.from({ length: expected.length + 1 }, () => line.shift())).toEqual([...expected, undefined])
    })
  )
})
