import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { QuicError } from '../../../../src/quic/errors.js'
import { ByteReader, ByteWriter, TruncatedError } from '../../../../src/quic/wire/bytes.js'
import { readVarint, varintLength, writeVarint } from '../../../../src/quic/wire/varint.js'
import { knownVersionByLabel, knownVersions } from '../../../../src/quic/wire/versions/registry.js'
import type { FrameCodec } from '../../../../src/quic/wire/versions/version.js'
import { encodeFrame } from '../../../helpers/frame-encoder.js'
import { FrameLog } from '../../../helpers/frame-log.js'
import type { LoggedFrame } from '../../../helpers/frame-log.js'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const codec = (label: string): FrameCodec => knownVersionByLabel(label)!.frames

/** The frames of a payload in packet 1000, whose number has two bytes. */
function frames(label: string, payload: string | Uint8Array): LoggedFrame[] {
  const bytes = typeof payload === 'string' ? hex(payload) : payload
  const log = new FrameLog()
  codec(label).decode(bytes, 0, bytes.length, 1000, 2, log)
  return log.frames
}

describe('padding', () => {
  it('ends the packet through Q037', () => {
    expect(frames('Q037', '07 00 07 00')).toEqual([{ kind: 'ping' }, { kind: 'padding', length: 3 }])
  })

  it('may stand anywhere from Q038', () => {
    for (const label of ['Q038', 'Q039', 'Q043', 'Q044', 'Q046', 'Q050']) {
      expect(frames(label, '00 00 07 00')).toEqual([
        { kind: 'padding', length: 2 }, { kind: 'ping' }, { kind: 'padding', length: 1 }
      ])
    }
  })
})

describe('private flags', () => {
  it('are the first byte of a payload with entropy', () => {
    for (const label of ['Q032', 'Q033']) {
      expect(frames(label, '01 07')).toEqual([{ kind: 'entropyFlag', entropy: true }, { kind: 'ping' }])
      expect(frames(label, '00 07')).toEqual([{ kind: 'entropyFlag', entropy: false }, { kind: 'ping' }])
      expect(() => frames(label, '02 07')).toThrow('QUIC_INVALID_PACKET_HEADER')
      expect(() => frames(label, '01')).toThrow('QUIC_MISSING_PAYLOAD')
    }
    expect(codec('Q033').preambleLength).toBe(1)
    expect(codec('Q034').preambleLength).toBe(0)
  })
})

describe('STOP_WAITING', () => {
  it('has a hash in versions with entropy', () => {
    const bytes = encodeFrame(codec('Q033'), { kind: 'stopWaiting', leastUnacked: 990, entropyHash: 0x9a }, context)!
    expect(bytes).toEqual(hex('06 9a 0a00'))
    expect(bytes).toHaveLength(codec('Q033').stopWaitingLength(2))
    expect(frames('Q033', '00 069a0a00').at(-1)).toEqual({ kind: 'stopWaiting', leastUnacked: 990, entropyHash: 0x9a })
  })

  it('is big-endian from Q039', () => {
    expect(frames('Q043', '06 000a')).toEqual([{ kind: 'stopWaiting', leastUnacked: 990 }])
  })

  it('means nothing from Q044, though it may come', () => {
    for (const label of ['Q044', 'Q046', 'Q050']) {
      expect(frames(label, '06 ffff 07')).toEqual([{ kind: 'ping' }])
      expect(() => frames(label, '06 ff')).toThrow('QUIC_INVALID_STOP_WAITING_DATA')
    }
  })
})

describe('type 8', () => {
  it('is PATH_CLOSE, nothing, and CRYPTO', () => {
    expect(frames('Q036', '08 05')).toEqual([{ kind: 'pathClose', pathId: 5 }])
    for (const label of ['Q039', 'Q043', 'Q044', 'Q046']) {
      expect(() => frames(label, '08 05')).toThrow('QUIC_INVALID_FRAME_DATA')
    }
    expect(frames('Q050', '08 4100 02 abcd 07')).toEqual([
      { kind: 'crypto', offset: 0x100, data: Uint8Array.of(0xab, 0xcd) }, { kind: 'ping' }
    ])
  })

  it('is written where there are CRYPTO frames; else handshake data is of stream 1', () => {
    const written = (label: string): string => {
      const out = codec(label).createWriter().reset(Buffer.alloc(20), 0)
      codec(label).writeCryptoHeader(out, 0x1234, 5)
      expect(out.position).toBe(codec(label).cryptoHeaderLength(0x1234, 5))
      return Buffer.from(out.buffer.subarray(0, out.position)).toString('hex')
    }
    expect(written('Q050')).toBe('08523405')
    expect(written('Q046')).toBe('a40112340005')
    expect(written('Q036')).toBe('a40134120500')
  })
})

describe('MESSAGE', () => {
  it('is read from Q046 on', () => {
    for (const label of ['Q046', 'Q050']) {
      expect(frames(label, '21 02 abcd 07')).toEqual([
        { kind: 'message', data: Uint8Array.of(0xab, 0xcd) }, { kind: 'ping' }
      ])
      expect(frames(label, '20 abcd')).toEqual([{ kind: 'message', data: Uint8Array.of(0xab, 0xcd) }])
      expect(() => frames(label, '21 03 abcd')).toThrow('QUIC_INVALID_FRAME_DATA: malformed MESSAGE')
    }
    for (const label of ['Q043', 'Q044']) expect(() => frames(label, '20 ab')).toThrow('QUIC_INVALID_FRAME_DATA')
  })

  it('leaves the types beside it illegal', () => {
    for (let type = 0x22; type < 0x40; type++) {
      expect(() => frames('Q050', Uint8Array.of(type, 0, 0))).toThrow('illegal frame type')
    }
  })
})

const context = { packetNumber: 1000, packetNumberLength: 2, withLength: true }
const data = fc.uint8Array({ minLength: 1, maxLength: 30 })
const offset = fc.integer({ min: 0, max: 2 ** 50 })
const anyFrame = fc.oneof(
  fc.record({ kind: fc.constant('stream' as const), streamId: fc.nat(2 ** 31), offset, fin: fc.boolean(), data }),
  fc.record({ kind: fc.constant('windowUpdate' as const), streamId: fc.nat(2 ** 31), limit: offset }),
  fc.record({ kind: fc.constant('blocked' as const), streamId: fc.nat(2 ** 31) }),
  fc.record({
    kind: fc.constant('rstStream' as const), streamId: fc.nat(2 ** 31), errorCode: fc.nat(16), finalOffset: offset
  }),
  fc.record({ kind: fc.constant('connectionClose' as const), errorCode: fc.nat(97), reason: fc.string() }),
  fc.record({ kind: fc.constant('ping' as const) })
)

describe('every version', () => {
  it('keeps frames through writing and reading, and calls a cut one by its name', () => {
    fc.assert(
      fc.property(fc.constantFrom(...knownVersions), anyFrame, (version, frame) => {
        const encoded = encodeFrame(version.frames, frame, context)!
        const bytes = Buffer.concat([Buffer.alloc(version.frames.preambleLength), encoded])
        const flag = version.traits.entropy ? [{ kind: 'entropyFlag', entropy: false }] : []
        expect(frames(version.label, bytes)).toEqual([...flag, frame])
        for (let end = version.frames.preambleLength + 1; end < bytes.length; end++) {
          expect(() => frames(version.label, bytes.subarray(0, end))).toThrow(QuicError)
        }
      })
    )
  })

  it('keeps CRYPTO frames where there are any', () => {
    fc.assert(
      fc.property(offset, data, (at, bytes) => {
        const frame = { kind: 'crypto' as const, offset: at, data: bytes }
        const encoded = encodeFrame(codec('Q050'), frame, context)!
        expect(frames('Q050', encoded)).toEqual([frame])
        for (let end = 1; end < encoded.length; end++) {
          expect(() => frames('Q050', encoded.subarray(0, end))).toThrow('malformed CRYPTO')
        }
      })
    )
  })

  it('answers random bytes with frames or a QuicError', () => {
    const random = fc.uint8Array({ minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(fc.constantFrom(...knownVersions), random, (version, bytes) => {
        try {
          frames(version.label, bytes)
        } catch (error) {
          if (!(error instanceof QuicError)) throw error
        }
      }),
      { numRuns: 4000 }
    )
  })
})

describe('variable-length integers', () => {
  it.each([
    // RFC 9000 A.1.
    ['c2197c5eff14e88c', 151288809941952652],
    ['9d7f3e7d', 494878333],
    ['7bbd', 15293],
    ['25', 37],
    ['4025', 37]
  ])('%s', (bytes, value) => {
    const read = (): number => readVarint(new ByteReader(true, hex(bytes)))
    if (value > Number.MAX_SAFE_INTEGER) expect(read).toThrow(TruncatedError)
    else expect(read()).toBe(value)
  })

  it('are kept in as few bytes as possible', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.integer({ min: 0, max: 53 }), (number, bits) => {
        const value = number % 2 ** bits
        const out = new ByteWriter(true, Buffer.alloc(8))
        writeVarint(out, value)
        expect(out.position).toBe(varintLength(value))
        expect(readVarint(new ByteReader(true, out.buffer, 0, out.position))).toBe(value)
      })
    )
    expect([63, 64, 16383, 16384, 2 ** 30 - 1, 2 ** 30].map(varintLength)).toEqual([1, 2, 2, 4, 4, 8])
  })
})
