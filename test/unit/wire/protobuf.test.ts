import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { decodeNetworkParameters, encodeNetworkParameters } from '../../../src/quic/handshake/cached-network-parameters.js'
import { ProtobufWriter, readProtobuf } from '../../../src/quic/wire/protobuf.js'

type Field = [number, number | string]

function read(hex: string): { sound: boolean; fields: Field[] } {
  const fields: Field[] = []
  const sound = readProtobuf(Buffer.from(hex, 'hex'), {
    onInteger: (field, value) => fields.push([field, value]),
    onBytes: (field, value) => fields.push([field, Buffer.from(value).toString('hex')])
  })
  return { sound, fields }
}

describe('protocol buffers', () => {
  it('are as the documentation of the encoding shows', () => {
    expect(Buffer.from(new ProtobufWriter().integer(1, 150).finish()).toString('hex')).toBe('089601')
    const text = new ProtobufWriter().bytes(2, Buffer.from('testing')).finish()
    expect(Buffer.from(text).toString('hex')).toBe('120774657374696e67')
    expect(read('089601120774657374696e67')).toEqual({ sound: true, fields: [[1, 150], [2, '74657374696e67']] })
  })

  it('come back as they were written', () => {
    const integer = fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.maxSafeNat())
    const bytes = fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.uint8Array({ maxLength: 300 }))
    fc.assert(
      fc.property(fc.array(fc.oneof(integer, bytes)), (fields) => {
        const out = new ProtobufWriter()
        for (const [field, value] of fields) {
          if (typeof value === 'number') out.integer(field, value)
          else out.bytes(field, value)
        }
        const expected = fields.map(([field, value]) => [field, typeof value === 'number' ? value : Buffer.from(value).toString('hex')])
        expect(read(Buffer.from(out.finish()).toString('hex'))).toEqual({ sound: true, fields: expected })
      })
    )
  })

  it('pass over kinds of fields that nobody here uses, and say when they are damaged', () => {
    expect(read('09' + '00'.repeat(8) + '0d' + '00'.repeat(4) + '1001')).toEqual({ sound: true, fields: [[2, 1]] })
    for (const damaged of ['08', '0880', '1205aa', '0b', '0001', '09000000', '08' + 'ff'.repeat(10) + '01']) {
      expect(read(damaged).sound, damaged).toBe(false)
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void readProtobuf(bytes, {})))
  })
})

describe('what is found of a path', () => {
  const int32 = fc.integer({ min: 1, max: 0x7fffffff })

  it('comes back as it was written', () => {
    const any = fc.record({
      servingRegion: fc.string({ maxLength: 20, unit: 'grapheme-ascii' }),
      bandwidth: int32,
      minRttMs: int32,
      inSlowStart: fc.boolean(),
      maxBandwidth: int32,
      maxBandwidthSeconds: fc.maxSafeNat(),
      seconds: fc.maxSafeNat()
    })
    fc.assert(fc.property(any, (network) => void expect(decodeNetworkParameters(encodeNetworkParameters(network))).toEqual(network)))
  })

  it('fits its fields, and is nothing without a bandwidth or with a negative one', () => {
    const network = {
      servingRegion: '',
      bandwidth: 5e9,
      minRttMs: 1,
      inSlowStart: true,
      maxBandwidth: 6e9,
      maxBandwidthSeconds: 1,
      seconds: 2
    }
    expect(decodeNetworkParameters(encodeNetworkParameters(network))).toMatchObject({
      bandwidth: 0x7fffffff,
      maxBandwidth: 0x7fffffff
    })
    for (const nothing of ['', '1000', '180a', `10${'ff'.repeat(9)}01`, '1001ff']) {
      expect(decodeNetworkParameters(Buffer.from(nothing, 'hex')), nothing).toBeUndefined()
    }
  })
})
