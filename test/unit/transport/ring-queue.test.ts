import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingQueue } from '../../../src/quic/transport/ring-queue.js'

describe('a ring queue', () => {
  it('gives out what was put in, in order, however both take turns', () => {
    const steps = fc.array(fc.oneof(fc.nat({ max: 40 }).map((push) => ({ push })), fc.nat({ max: 40 }).map((take) => ({ take }))))
    fc.assert(
      fc.property(steps, (all) => {
        const queue = new RingQueue<number>()
        const model: number[] = []
        let next = 0
        for (const step of all) {
          if ('push' in step) {
            for (let n = 0; n < step.push; n++) {
              queue.push(next)
              model.push(next++)
            }
          } else {
            for (let n = 0; n < step.take; n++) expect(queue.shift()).toBe(model.shift())
          }
          expect(queue.length).toBe(model.length)
          expect(queue.first).toBe(model[0])
        }
      })
    )
  })

  it('holds on to nothing that was taken', () => {
    const queue = new RingQueue<object>()
    queue.push({})
    queue.shift()
    expect(Object.values(queue as unknown as Record<string, unknown>).flat().filter((slot) => typeof slot === 'object')).toEqual([])
  })
})
