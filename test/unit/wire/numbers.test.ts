import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import {
  completePacketNumber,
  minimalNumberLength,
  numberLengthCode,
  numberLengthOfCode,
  packetNumberLength,
  truncatePacketNumber
} from '../../../src/quic/wire/packet-number.js'
import { decodeUfloat16, encodeUfloat16, UFLOAT16_INFINITE, UFLOAT16_MAX } from '../../../src/quic/wire/ufloat16.js'

describe('packet numbers', () => {
  it.each([
    [0, 0x01, 1, 1],
    [255, 0x00, 1, 256],
    [256, 0xff, 1, 255],
    [300, 0x80, 1, 384],
    [300, 0x2c, 1, 300],
    [65534, 0x0001, 2, 65537],
    [74565, 0x2346, 2, 74566],
    [0, 0, 1, 0]
  ])('after %i, %i in %i bytes is %i', (largest, wire, length, expected) => {
    expect(completePacketNumber(wire, length, largest)).toBe(expected)
  })

  it('completes every number within half a span of the largest', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 4, 6),
        fc.integer({ min: 0, max: 2 ** 48 }),
        fc.integer({ min: -(2 ** 30), max: 2 ** 30 }),
        (length, largest, distance) => {
          const half = 2 ** (8 * length - 1)
          const packetNumber = largest + 1 + (distance % (half - 1))
          fc.pre(packetNumber > 0)
          expect(completePacketNumber(truncatePacketNumber(packetNumber, length), length, largest)).toBe(packetNumber)
        }
      )
    )
  })

  it('chooses a width by four times what is in flight', () => {
    expect(packetNumberLength(1, 1, 34)).toBe(1)
    expect(packetNumberLength(64, 1, 34)).toBe(1)
    expect(packetNumberLength(65, 1, 34)).toBe(2)
    expect(packetNumberLength(10, 10, 64)).toBe(2)
    expect(packetNumberLength(16384 + 1, 1, 34)).toBe(4)
    expect(packetNumberLength(2 ** 30 + 1, 1, 34)).toBe(6)
  })

  it('names widths by two bits', () => {
    expect([1, 2, 4, 6].map(numberLengthCode)).toEqual([0, 1, 2, 3])
    expect([0, 1, 2, 3].map(numberLengthOfCode)).toEqual([1, 2, 4, 6])
    const values = [0, 0xff, 0x100, 0xffff, 0x10000, 2 ** 32 - 1, 2 ** 32]
    expect(values.map(minimalNumberLength)).toEqual([1, 1, 2, 2, 4, 4, 6])
  })
})

describe('ufloat16', () => {
  it.each([
    [0, 0x0000],
    [4095, 0x0fff],
    [4096, 0x1000],
    [8190, 0x17ff],
    [8191, 0x17ff],
    [8192, 0x1800],
    [25000, 0x2435],
    [100000, 0x3435],
    [1000000, 0x4f42],
    [0x7ffffff, 0x87ff],
    [0x20000000000, 0xf800],
    [0x3ffbfffffff, 0xfffe],
    [0x3ffc0000000, 0xffff],
    [Infinity, 0xffff]
  ])('writes %d as %i', (value, bits) => {
    expect(encodeUfloat16(value)).toBe(bits)
  })

  it('reads what it can say exactly', () => {
    expect(decodeUfloat16(0x17ff)).toBe(8190)
    expect(decodeUfloat16(0x4f42)).toBe(999936)
    expect(decodeUfloat16(UFLOAT16_INFINITE)).toBe(UFLOAT16_MAX)
    for (let bits = 0; bits < 0x10000; bits++) expect(encodeUfloat16(decodeUfloat16(bits))).toBe(bits)
  })

  it('rounds down and never loses more than one part in 2048', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: UFLOAT16_MAX - 1 }), value => {
        const read = decodeUfloat16(encodeUfloat16(value))
        expect(read).toBeLessThanOrEqual(value)
        expect(value - read).toBeLessThanOrEqual(value / 2048)
      })
    )
  })
})
