import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QuicError, QuicErrorCode } from '../../../src/quic/errors.js'
import { HandshakeMessage, HandshakeMessageReader } from '../../../src/quic/wire/handshake-message.js'
import { MessageTag, Tag, TAG_X509, tagName, tagOf } from '../../../src/quic/wire/tags.js'

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? new Uint8Array(0)).toString('hex')
}

function codeOf(run: () => unknown): number | undefined {
  try {
    run()
  } catch (error) {
    if (error instanceof QuicError) return error.wireCode
    throw error
  }
  return undefined
}

/** A message as bytes, entries as given, right or wrong. */
function rawMessage(tag: string, entries: [tag: string, end: number][], values = '', reserved = 0): Buffer {
  const out = Buffer.alloc(8 + entries.length * 8)
  out.writeUInt32LE(tagOf(tag), 0)
  out.writeUInt16LE(entries.length, 4)
  out.writeUInt16LE(reserved, 6)
  entries.forEach(([name, end], i) => {
    out.writeUInt32LE(tagOf(name), 8 + i * 8)
    out.writeUInt32LE(end, 12 + i * 8)
  })
  return Buffer.concat([out, Buffer.from(values, 'latin1')])
}

function vectorChlo(): HandshakeMessage {
  const chlo = new HandshakeMessage(MessageTag.CHLO)
  chlo.setText(Tag.SNI, 'www.example.org')
  chlo.setUint32List(Tag.PDMD, [TAG_X509])
  chlo.setUint32(Tag.VER, tagOf('Q036'))
  return chlo
}

describe('tags', () => {
  it('are the little-endian number of their bytes and read back as text', () => {
    expect(tagOf('CHLO')).toBe(0x4f4c4843)
    expect(tagName(tagOf('SNI'))).toBe('SNI')
    expect(tagName(Tag.CRT)).toBe('CRT\\xff')
    expect(tagName(0)).toBe('0x00000000')
    expect(tagName(3)).toBe('0x00000003')
  })

  it('sort as the reference lists them', () => {
    const order = (
      'PAD SNI STK SNO VER CCS NONC MSPC AEAD ASAD UAID RCID SCID TCID PDMD SRBF PROF SCFG RREJ CIDK FHOL ICSL ' +
      'STTL CTIM RNON TBKP NONP RSEQ CADR NCMR PUBS CIDS MIDS SCLS KEXS XLCT CSCT OBIT COPT CCRT IRTT CETV CFCW ' +
      'SFCW EXPY CRT'
    ).split(' ')
    const message = new HandshakeMessage('TEST')
    for (const name of [...order].reverse()) message.set(Tag[name as keyof typeof Tag], Buffer.from(name))
    const parsed = HandshakeMessage.parse(message.serialize())
    expect(parsed.tags).toEqual(order.map((name) => Tag[name as keyof typeof Tag]))
  })
})

describe('HandshakeMessage.serialize', () => {
  it('writes the canonical padded CHLO of the protocol notes', () => {
    const chlo = vectorChlo()
    chlo.minimumSize = 1024
    const bytes = chlo.serialize()
    expect(bytes.length).toBe(1024)
    expect(hex(bytes.subarray(0, 40))).toBe(
      '43484c4f0400000050414400c1030000534e4900d003000056455200d403000050444d44d8030000'
    )
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      'c86e3e83601ac36707b4be602b563e1a7cd2b50d30cdb5366082793ac052969a'
    )
  })

  it('adds an empty PAD when fewer bytes are missing than an entry takes', () => {
    const chlo = vectorChlo()
    chlo.minimumSize = chlo.size + 5
    const bytes = chlo.serialize()
    expect(bytes.length).toBe(chlo.size + 8)
    expect(HandshakeMessage.parse(bytes).get(Tag.PAD)).toEqual(new Uint8Array(0))
  })

  it('forgets what it had written when a value or the padding changes', () => {
    const chlo = vectorChlo()
    const before = chlo.serialize().length
    chlo.minimumSize = 500
    expect(chlo.serialize().length).toBe(500)
    chlo.minimumSize = 0
    chlo.delete(Tag.SNI)
    expect(chlo.serialize().length).toBe(before - 8 - 15)
  })

  it('keeps the PAD of a received message and needs no second one', () => {
    const chlo = vectorChlo()
    chlo.minimumSize = 300
    const again = HandshakeMessage.parse(chlo.serialize())
    again.set(Tag.UAID, new Uint8Array(0))
    expect(again.serialize().length).toBe(308)
  })

  it('zeroes the reserved bytes that a peer set', () => {
    const parsed = HandshakeMessage.parse(rawMessage('CHLO', [['VER', 4]], 'Q036', 0xbeef))
    expect(hex(parsed.serialize())).toBe(hex(rawMessage('CHLO', [['VER', 4]], 'Q036')))
  })

  it('is the inverse of parse for any message', () => {
    const entries = fc.uniqueArray(fc.tuple(fc.nat(0xffffffff), fc.uint8Array({ maxLength: 40 })), {
      maxLength: 128,
      selector: ([tag]) => tag
    })
    fc.assert(
      fc.property(fc.nat(0xffffffff), entries, (tag, list) => {
        const message = new HandshakeMessage(tag)
        for (const [name, value] of list) message.set(name, value)
        const parsed = HandshakeMessage.parse(message.serialize())
        expect(parsed.tag).toBe(tag)
        expect(parsed.tags.length).toBe(list.length)
        for (const [name, value] of list) expect(hex(parsed.get(name))).toBe(hex(value))
        expect(hex(parsed.serialize())).toBe(hex(message.serialize()))
      })
    )
  })

  it('refuses more values than a message may have', () => {
    const message = new HandshakeMessage('TEST')
    for (let i = 0; i < 129; i++) message.set(i, new Uint8Array(0))
    expect(() => message.serialize()).toThrow('129 values')
  })
})

describe('HandshakeMessage.parse', () => {
  it('names each malformation with its own code', () => {
    const many = Array.from({ length: 129 }, (_, i) => [String.fromCharCode(i + 1), 0] as [string, number])
    const cases: [Buffer, number][] = [
      [rawMessage('CHLO', many), QuicErrorCode.CRYPTO_TOO_MANY_ENTRIES],
      [rawMessage('CHLO', [['VER', 0], ['VER', 0]]), QuicErrorCode.CRYPTO_DUPLICATE_TAG],
      [rawMessage('CHLO', [['VER', 0], ['SNI', 0]]), QuicErrorCode.CRYPTO_TAGS_OUT_OF_ORDER],
      [rawMessage('CHLO', [['SNI', 4], ['VER', 3]], 'abcd'), QuicErrorCode.CRYPTO_TAGS_OUT_OF_ORDER],
      [rawMessage('CHLO', [['VER', 4]], 'Q03'), QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER],
      [rawMessage('CHLO', [['VER', 4]], 'Q0366'), QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER],
      [Buffer.from('CHLO'), QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER]
    ]
    for (const [bytes, code] of cases) expect(codeOf(() => HandshakeMessage.parse(bytes))).toBe(code)
  })

  it('only ever throws QuicError', () => {
    const base = vectorChlo().serialize()
    const mutation = fc.tuple(fc.nat(base.length - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(mutation, { maxLength: 6 }), fc.nat(base.length), (changes, cut) => {
        const bytes = Buffer.from(base.subarray(0, cut))
        for (const [at, value] of changes) if (at < cut) bytes[at] = value
        codeOf(() => HandshakeMessage.parse(bytes).describe())
      })
    )
    const anything = fc.uint8Array({ maxLength: 200 })
    fc.assert(fc.property(anything, (bytes) => void codeOf(() => HandshakeMessage.parse(bytes))))
  })
})

describe('typed values', () => {
  const message = HandshakeMessage.parse(
    new HandshakeMessage('TEST')
      .setUint32(Tag.ICSL, 0xfffffffe)
      .setUint64(Tag.CTIM, 2 ** 40 + 7)
      .setUint32List(Tag.RREJ, [12, 20])
      .setLength24List(Tag.PUBS, [Buffer.alloc(32, 1), Buffer.alloc(0), Buffer.alloc(70_000, 2)])
      .setText(Tag.SNI, 'a.example')
      .serialize()
  )

  it('come back as they were set', () => {
    expect(message.uint32(Tag.ICSL)).toBe(0xfffffffe)
    expect(message.uint64(Tag.CTIM)).toBe(2 ** 40 + 7)
    expect(message.uint32List(Tag.RREJ)).toEqual([12, 20])
    expect(message.length24List(Tag.PUBS)!.map((value) => value.length)).toEqual([32, 0, 70_000])
    expect(message.text(Tag.SNI)).toBe('a.example')
  })

  it('are undefined when absent, an error when required', () => {
    expect(message.uint32(Tag.SFCW)).toBeUndefined()
    expect(message.uint64(Tag.EXPY)).toBeUndefined()
    expect(message.uint32List(Tag.COPT)).toBeUndefined()
    expect(message.length24List(Tag.PROF)).toBeUndefined()
    expect(message.text(Tag.UAID)).toBeUndefined()
    expect(codeOf(() => message.require(Tag.STK))).toBe(QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND)
  })

  it('are an error when their size is wrong', () => {
    for (const read of [
      () => message.uint32(Tag.CTIM),
      () => message.uint64(Tag.ICSL),
      () => message.uint32List(Tag.SNI),
      () => message.length24List(Tag.SNI),
      () => message.length24List(Tag.ICSL)
    ]) {
      expect(codeOf(read)).toBe(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER)
    }
  })
})

describe('HandshakeMessageReader', () => {
  it('cuts a stream into the messages that were written, however the bytes arrive', () => {
    const first = vectorChlo()
    first.minimumSize = 1024
    const second = rawMessage('REJ', [['STK', 3]], 'abc', 1)
    const third = vectorChlo()
    const stream = Buffer.concat([first.serialize(), second, third.serialize()])
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 12 }), (cuts) => {
        const reader = new HandshakeMessageReader()
        const edges = [...new Set([0, ...cuts, stream.length])].sort((a, b) => a - b)
        const seen: string[] = []
        for (let i = 1; i < edges.length; i++) {
          reader.push(stream.subarray(edges[i - 1], edges[i]))
          for (let m = reader.next(); m !== undefined; m = reader.next()) seen.push(hex(m.serialize()))
        }
        second[6] = 0
        expect(seen).toEqual([first.serialize(), second, third.serialize()].map(hex))
        expect(reader.buffered).toBe(0)
      })
    )
  })

  it('complains as soon as the bytes prove it, and bounds what it holds', () => {
    const cases: [Buffer, number][] = [
      [Buffer.from('CHLO\xff\xff\0\0', 'latin1'), QuicErrorCode.CRYPTO_TOO_MANY_ENTRIES],
      [rawMessage('CHLO', [['VER', 0], ['VER', 9]]), QuicErrorCode.CRYPTO_DUPLICATE_TAG],
      [rawMessage('CHLO', [['VER', 16 * 1024]]), QuicErrorCode.CRYPTO_INVALID_VALUE_LENGTH],
      [rawMessage('CHLO', [['VER', 0xffffffff]]), QuicErrorCode.CRYPTO_INVALID_VALUE_LENGTH]
    ]
    for (const [bytes, code] of cases) {
      const reader = new HandshakeMessageReader()
      reader.push(bytes)
      expect(codeOf(() => reader.next())).toBe(code)
    }
  })
})

describe('HandshakeMessage.describe', () => {
  it('shows tags by name and values in the form of their tag', () => {
    const scfg = new HandshakeMessage(MessageTag.SCFG).setUint32List(Tag.AEAD, [tagOf('AESG'), tagOf('CC20')])
    const rej = new HandshakeMessage(MessageTag.REJ)
      .setUint32List(Tag.RREJ, [12, 99])
      .set(Tag.SCFG, scfg.serialize())
      .set(Tag.STK, Buffer.from('0102', 'hex'))
      .set(Tag.CADR, Buffer.from('02007f0000013412', 'hex'))
      .set(Tag.ICSL, Buffer.from('01', 'hex'))
      .setText(Tag.SNI, 'a"b')
      .setUint64(Tag.STTL, 9)
    rej.minimumSize = rej.size + 20
    const text = HandshakeMessage.parse(rej.serialize()).describe()
    expect(text.split('\n')).toEqual([
      'REJ',
      '  PAD: 12 bytes of padding',
      '  SNI: "a\\"b"',
      '  STK: 0102',
      '  SCFG:',
      '    SCFG',
      '      AEAD: AESG CC20',
      '  RREJ: SERVER_CONFIG_INCHOATE_HELLO_FAILURE UNKNOWN_REASON_99',
      '  ICSL: 01',
      '  STTL: 9',
      '  CADR: 127.0.0.1:4660'
    ])
  })
})
