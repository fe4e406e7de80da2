import { describe, expect, it } from 'vitest'
import { systemHelper } from '../../../src/endpoint/system.js'

describe('randomness of the machine', () => {
  it.each([0, 1, 8, 32, 64, 65, 1000])('comes in pieces of %i bytes that nobody else holds', (length) => {
    const pieces = Array.from({ length: 300 }, () => systemHelper.randomBytes(length))
    for (const piece of pieces) expect(piece.length).toBe(length)
    if (length < 8) return
    expect(new Set(pieces.map((piece) => Buffer.from(piece).toString('hex'))).size).toBe(pieces.length)
    // Each has memory of its own: what one owner writes, the next does not get.
    const copies = pieces.map((piece) => piece.slice())
    pieces[0]!.fill(0)
    expect(pieces.slice(1)).toEqual(copies.slice(1))
  })

  it('uses every byte value', () => {
    const seen = new Set<number>()
    for (let i = 0; i < 1000; i++) for (const byte of systemHelper.randomBytes(32)) seen.add(byte)
    expect(seen.size).toBe(256)
  })
})
