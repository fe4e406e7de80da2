import { describe, expect, it } from 'vitest'
import { headerListSize, headerValue, headerValues, isPseudoHeader } from '../../../src/quic/spdy/header-list.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { priorityOfWeightByte, weightByteOfPriority } from '../../../src/quic/spdy/priority.js'

describe('SPDY priorities', () => {
  it('become the weight bytes of the reference program and come back', () => {
    const bytes = [0, 1, 2, 3, 4, 5, 6, 7].map(weightByteOfPriority)
    expect(bytes).toEqual([255, 219, 182, 146, 109, 73, 36, 0])
    expect(bytes.map(priorityOfWeightByte)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  })

  it('stay within 0..7 and fall as the weight rises, for every byte', () => {
    let last = 7
    for (let byte = 0; byte < 256; byte++) {
      const priority = priorityOfWeightByte(byte)
      expect(priority).toBeGreaterThanOrEqual(0)
      expect(priority).toBeLessThanOrEqual(last)
      last = priority
    }
    expect(last).toBe(0)
  })

  it('are bounded on the way out', () => {
    expect([-1, 8, 2.9].map(weightByteOfPriority)).toEqual([255, 0, 182])
  })
})

describe('header lists', () => {
  const headers: HeaderList = [[':status', '200'], ['via', 'a'], ['via', 'b']]

  it('find the first value, all values and nothing', () => {
    expect(headerValue(headers, 'via')).toBe('a')
    expect(headerValues(headers, 'via')).toEqual(['a', 'b'])
    expect(headerValue(headers, 'Via')).toBeUndefined()
    expect(headerValues(headers, 'age')).toEqual([])
  })

  it('count octets and overhead, and know pseudo-headers', () => {
    expect(headerListSize(headers)).toBe(10 + 4 + 4 + 3 * 32)
    expect(headers.map(([name]) => isPseudoHeader(name))).toEqual([true, false, false])
  })
})
