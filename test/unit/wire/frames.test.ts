import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { QuicError } from '../../../src/quic/errors.js'
import type { ByteWriter } from '../../../src/quic/wire/bytes.js'
import { ClassicFrameCodec } from '../../../src/quic/wire/versions/classic-frame-codec.js'
import { FrameLog } from '../../helpers/frame-log.js'
import type { LoggedFrame } from '../../helpers/frame-log.js'

const little = new ClassicFrameCodec({ bigEndian: false })
const big = new ClassicFrameCodec({ bigEndian: true })

function decode(bytes: Uint8Array, codec = little, packetNumber = 1000, packetNumberLength = 2): LoggedFrame[] {
  const log = new FrameLog()
  // Something before and behind, so that a reader that leaves its range is found out.
  const buffer = Buffer.concat([Buffer.alloc(3, 0xff), bytes, Buffer.alloc(3, 0xff)])
  codec.decode(buffer, 3, 3 + bytes.length, packetNumber, packetNumberLength, log)
  return log.frames
}

function errorOf(bytes: Uint8Array, codec = little, packetNumber = 1000): string {
  try {
    decode(bytes, codec, packetNumber)
  } catch (error) {
    if (error instanceof QuicError) return error.code.replace('QUIC_', '')
    throw error
  }
  return 'none'
}

function written(write: (out: ByteWriter) => void, codec = little): Buffer {
  const out = codec.createWriter().reset(Buffer.alloc(2000), 0)
  write(out)
  return Buffer.from(out.buffer.subarray(0, out.position))
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/**
 * One frame as a list of fields. A packet that ends inside a field gives `error`; one that ends before the first field
 * is no frame at all.
 */
interface FrameVector {
  name: string
  error: string
  little: string[]
  big: string[]
  frame: LoggedFrame
  write?: (out: ByteWriter, codec: ClassicFrameCodec) => void
}

const vectors: FrameVector[] = [
  {
    name: 'STREAM with every field at its widest',
    error: 'INVALID_STREAM_DATA',
    little: ['fb', '04030201', '060504030201 00', '0c00', '68656c6c6f20776f726c6421'],
    big: ['fb', '01020304', '00 010203040506', '000c', '68656c6c6f20776f726c6421'],
    frame: {
      kind: 'stream',
      streamId: 0x01020304,
      offset: 0x010203040506,
      fin: true,
      data: Buffer.from('hello world!')
    }
  },
  {
    name: 'STREAM with minimal fields',
    error: 'INVALID_STREAM_DATA',
    little: ['a5', '0302', '3412', '0300', '616263'],
    big: ['a5', '0203', '1234', '0003', '616263'],
    frame: { kind: 'stream', streamId: 0x203, offset: 0x1234, fin: false, data: Buffer.from('abc') },
    write: (out, codec) => {
      codec.writeStreamHeader(out, 0x203, 0x1234, 3, false, true)
      out.bytes(Buffer.from('abc'))
    }
  },
  {
    name: 'STOP_WAITING',
    error: 'INVALID_STOP_WAITING_DATA',
    little: ['06', '0a00'],
    big: ['06', '000a'],
    frame: { kind: 'stopWaiting', leastUnacked: 990 },
    write: (out, codec) => codec.writeStopWaiting(out, 990, 1000, 2)
  },
  {
    name: 'RST_STREAM',
    error: 'INVALID_RST_STREAM_DATA',
    little: ['01', '04030201', '0807060504030000', '06000000'],
    big: ['01', '01020304', '0000030405060708', '00000006'],
    frame: { kind: 'rstStream', streamId: 0x01020304, errorCode: 6, finalOffset: 0x30405060708 },
    write: (out, codec) => codec.writeRstStream(out, 0x01020304, 6, 0x30405060708)
  },
  {
    name: 'CONNECTION_CLOSE',
    error: 'INVALID_CONNECTION_CLOSE_DATA',
    little: ['02', '11000000', '0d00', '626563617573652049 2063616e'],
    big: ['02', '00000011', '000d', '626563617573652049 2063616e'],
    frame: { kind: 'connectionClose', errorCode: 0x11, reason: 'because I can' },
    write: (out, codec) => codec.writeConnectionClose(out, 0x11, Buffer.from('because I can'))
  },
  {
    name: 'GOAWAY',
    error: 'INVALID_GOAWAY_DATA',
    little: ['03', '10000000', '04030201', '0300', '627965'],
    big: ['03', '00000010', '01020304', '0003', '627965'],
    frame: { kind: 'goAway', errorCode: 16, lastGoodStreamId: 0x01020304, reason: 'bye' },
    write: (out, codec) => codec.writeGoAway(out, 16, 0x01020304, Buffer.from('bye'))
  },
  {
    name: 'WINDOW_UPDATE',
    error: 'INVALID_WINDOW_UPDATE_DATA',
    little: ['04', '04030201', '0807060504030000'],
    big: ['04', '01020304', '0000030405060708'],
    frame: { kind: 'windowUpdate', streamId: 0x01020304, limit: 0x30405060708 },
    write: (out, codec) => codec.writeWindowUpdate(out, 0x01020304, 0x30405060708)
  },
  {
    name: 'BLOCKED',
    error: 'INVALID_BLOCKED_DATA',
    little: ['05', '04030201'],
    big: ['05', '01020304'],
    frame: { kind: 'blocked', streamId: 0x01020304 },
    write: (out, codec) => codec.writeBlocked(out, 0x01020304)
  },
  {
    name: 'PING',
    error: 'none',
    little: ['07'],
    big: ['07'],
    frame: { kind: 'ping' },
    write: (out, codec) => codec.writePing(out)
  },
  {
    name: 'PATH_CLOSE',
    error: 'INVALID_PATH_CLOSE_DATA',
    little: ['08', '2a'],
    big: ['08', '2a'],
    frame: { kind: 'pathClose', pathId: 0x2a }
  },
  {
    name: 'PADDING',
    error: 'none',
    little: ['00', '0000'],
    big: ['00', '0000'],
    frame: { kind: 'padding', length: 3 },
    write: (out, codec) => codec.writePadding(out, 3)
  }
]

describe.each([
  ['little-endian', little, 'little'],
  ['big-endian', big, 'big']
] as const)('%s frames', (_order, codec, field) => {
  it.each(vectors)('$name parses', ({ frame, ...vector }) => {
    expect(decode(hex(vector[field].join('')), codec)).toEqual([
      'data' in frame ? { ...frame, data: Uint8Array.from(frame.data) } : frame
    ])
  })

  it.each(vectors.filter(vector => vector.write))('$name is written', ({ write, ...vector }) => {
    expect(written(out => write!(out, codec), codec).toString('hex')).toBe(hex(vector[field].join('')).toString('hex'))
  })

  it.each(vectors.filter(vector => vector.error !== 'none'))('$name cut anywhere is $error', ({ error, ...vector }) => {
    const bytes = hex(vector[field].join(''))
    for (let end = 1; end < bytes.length; end++) expect(errorOf(bytes.subarray(0, end), codec)).toBe(error)
  })
})

describe('frames', () => {
  it('announce their sizes', () => {
    const reason = Buffer.from('because')
    expect(written(out => little.writeRstStream(out, 1, 2, 3))).toHaveLength(little.rstStreamLength)
    expect(written(out => little.writeWindowUpdate(out, 1, 2))).toHaveLength(little.windowUpdateLength)
    expect(written(out => little.writeBlocked(out, 1))).toHaveLength(little.blockedLength)
    expect(written(out => little.writePing(out))).toHaveLength(little.pingLength)
    expect(written(out => little.writeGoAway(out, 1, 2, reason))).toHaveLength(little.goAwayLength(reason))
    expect(written(out => little.writeConnectionClose(out, 1, reason))).toHaveLength(
      little.connectionCloseLength(reason)
    )
    for (const width of [1, 2, 4, 6]) {
      expect(written(out => little.writeStopWaiting(out, 5, 9, width))).toHaveLength(little.stopWaitingLength(width))
    }
  })

  it('come in wire order, several to a packet', () => {
    const frames = decode(hex('07 05 07000000 06 0100 a0 05 0200 6869 07 00 ffffff'))
    expect(frames.map(frame => frame.kind)).toEqual(['ping', 'blocked', 'stopWaiting', 'stream', 'ping', 'padding'])
  })

  it('after padding are not looked at', () => {
    expect(decode(hex('00 09 09 09'))).toEqual([{ kind: 'padding', length: 4 }])
  })

  it('missing altogether are an error', () => {
    expect(errorOf(Buffer.alloc(0))).toBe('MISSING_PAYLOAD')
  })

  it('of unknown types are an error', () => {
    for (let type = 0x09; type < 0x40; type++) {
      expect(errorOf(Buffer.from([type, 0, 0, 0, 0, 0, 0, 0, 0]))).toBe('INVALID_FRAME_DATA')
    }
  })

  it('clamp unknown error codes', () => {
    expect(decode(hex('01 05000000 0000000000000000 11000000'))).toMatchObject([{ errorCode: 16 }])
    expect(decode(hex('02 ffffffff 0000'))).toMatchObject([{ errorCode: 97 }])
    expect(decode(hex('03 ff000000 00000000 0000'))).toMatchObject([{ errorCode: 97 }])
  })

  it('may not speak of offsets above 2^53', () => {
    expect(decode(hex('04 05000000 ffffffffffff1f00'))).toMatchObject([{ limit: Number.MAX_SAFE_INTEGER }])
    expect(errorOf(hex('04 05000000 0000000000002000'))).toBe('INVALID_WINDOW_UPDATE_DATA')
    expect(errorOf(hex('01 05000000 ffffffffffffffff 00000000'))).toBe('INVALID_RST_STREAM_DATA')
    expect(errorOf(hex('9c 05 ffffffffffff1f00 61'))).toBe('INVALID_STREAM_DATA')
    expect(decode(hex('9c 05 feffffffffff1f00 61'))).toHaveLength(1)
  })

  it('STOP_WAITING may reach back to the first packet, not further', () => {
    expect(decode(hex('06 e703'))).toEqual([{ kind: 'stopWaiting', leastUnacked: 1 }])
    expect(errorOf(hex('06 e903'))).toBe('INVALID_STOP_WAITING_DATA')
  })

  it('can be decoded from within a visitor', () => {
    const outer = new FrameLog()
    const inner = new FrameLog()
    outer.onPing = () => {
      little.decode(hex('05 01000000 05 02000000'), 0, 10, 2, 1, inner)
      outer.frames.push({ kind: 'ping' })
    }
    little.decode(hex('05 03000000 07 05 04000000'), 0, 11, 1, 1, outer)
    expect(outer.frames).toMatchObject([{ streamId: 3 }, { kind: 'ping' }, { streamId: 4 }])
    expect(inner.frames).toMatchObject([{ streamId: 1 }, { streamId: 2 }])
  })

  it('let the error of a visitor through', () => {
    const log = new FrameLog()
    log.onPing = () => {
      throw new QuicError(59, 'too much')
    }
    expect(() => little.decode(hex('07'), 0, 1, 1, 1, log)).toThrow('QUIC_FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA')
    expect(decode(hex('07'))).toEqual([{ kind: 'ping' }])
  })

  it('of random bytes parse or raise a QuicError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.constantFrom(little, big), (bytes, codec) => {
        expect(typeof errorOf(bytes, codec)).toBe('string')
      }),
      { numRuns: 2000 }
    )
  })
})

describe('STREAM', () => {
  const streamId = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 32 - 1 }))
  const offset = fc.oneof(fc.integer({ min: 0, max: 70000 }), fc.maxSafeNat().map(n => Math.floor(n / 2)))

  it('keeps every value through writing and parsing', () => {
    fc.assert(
      fc.property(
        streamId, offset, fc.uint8Array({ maxLength: 40 }), fc.boolean(), fc.boolean(), fc.constantFrom(little, big),
        (id, at, data, fin, withLength, codec) => {
          fc.pre(fin || data.length > 0)
          const bytes = written(out => {
            codec.writeStreamHeader(out, id, at, data.length, fin, withLength)
            expect(out.position).toBe(codec.streamHeaderLength(id, at, withLength))
            out.bytes(data)
            if (withLength) codec.writePing(out)
          }, codec)
          const frames = decode(bytes, codec)
          expect(frames[0]).toEqual({ kind: 'stream', streamId: id, offset: at, fin, data })
          expect(frames).toHaveLength(withLength ? 2 : 1)
        }
      )
    )
  })

  it.each([
    [0, 0], [1, 2], [0xffff, 2], [0x10000, 3], [0xffffff, 3], [0x1000000, 4], [2 ** 32, 5], [2 ** 40, 6], [2 ** 48, 7]
  ])('writes offset %i in %i bytes', (at, bytes) => {
    expect(little.streamHeaderLength(5, at, false)).toBe(2 + bytes)
  })

  it('that is empty needs a FIN', () => {
    expect(errorOf(hex('80 05'))).toBe('EMPTY_STREAM_FRAME_NO_FIN')
    expect(errorOf(hex('a0 05 0000'))).toBe('EMPTY_STREAM_FRAME_NO_FIN')
    expect(decode(hex('c0 05'))).toMatchObject([{ fin: true, data: new Uint8Array(0) }])
  })
})
