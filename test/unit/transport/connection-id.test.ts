import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ConnectionId, ConnectionIdMap } from '../../../src/quic/connection-id.js'

describe('ConnectionId', () => {
  it('keeps the bytes as they are on the wire and shows them in that order', () => {
    const id = ConnectionId.fromHex('1032547698badcfe')
    expect([...id.bytes]).toEqual([0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe])
    expect(id.low).toBe(0x76543210)
    expect(id.high).toBe(0xfedcba98)
    expect(id.toString()).toBe('1032547698badcfe')
  })

  it('copies what it reads, since packet buffers are reused', () => {
    const buffer = Buffer.alloc(10, 7)
    const id = ConnectionId.read(buffer, 2)
    buffer.fill(0)
    expect(id.toString()).toBe('0707070707070707')
  })

  it('refuses text that is not sixteen hex digits', () => {
    expect(() => ConnectionId.fromHex('123')).toThrow(/16 hex digits/)
  })
})

describe('ConnectionIdMap', () => {
  // Few distinct halves, so that ids collide in their low half all the time.
  const id = fc
    .tuple(fc.constantFrom(0, 1, 2), fc.constantFrom(0, 1, 2))
    .map(([low, high]) => ConnectionId.read(Uint8Array.of(low, 0, 0, 0, high, 0, 0, 0)))

  it('agrees with a map by text under any sequence of operations', () => {
    const operation = fc.record({ id, value: fc.nat(), remove: fc.boolean() })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const map = new ConnectionIdMap<number>()
        const model = new Map<string, number>()
        for (const { id, value, remove } of operations) {
          if (remove) expect(map.delete(id)).toBe(model.delete(id.toString()))
          else {
            map.set(id, value)
            model.set(id.toString(), value)
          }
          expect(map.size).toBe(model.size)
          expect(map.get(id)).toBe(model.get(id.toString()))
        }
        expect(new Map([...map.entries()].map(([key, value]) => [key.toString(), value]))).toEqual(model)
        expect([...map.values()].sort()).toEqual([...model.values()].sort())
      })
    )
  })
})
