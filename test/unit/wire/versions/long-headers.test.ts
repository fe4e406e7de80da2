import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { EncryptionLevel, Perspective } from '../../../../src/quic/types.js'
import { tagOf } from '../../../../src/quic/wire/tags.js'
import { knownVersionByLabel, knownVersions } from '../../../../src/quic/wire/versions/registry.js'
import { ANY_LEVEL, createPacketHeader } from '../../../../src/quic/wire/versions/version.js'
import type { OutgoingHeader, PacketHeader } from '../../../../src/quic/wire/versions/version.js'

const { Client, Server } = Perspective
const { None, Initial, ForwardSecure } = EncryptionLevel
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const id = '1032547698badcfe'
const nonce = Buffer.alloc(32, 3)
const nonceHex = '03'.repeat(32)
const long = knownVersions.filter(version => version.traits.longHeaders)
const codec = (label: string) => knownVersionByLabel(label)!.header

function header(changes: Partial<OutgoingHeader>): OutgoingHeader {
  return {
    connectionId: hex(id),
    includeVersion: false,
    nonce: undefined,
    packetNumber: 0x12345678,
    packetNumberLength: 4,
    level: None,
    ...changes
  }
}

function write(label: string, sender: Perspective, outgoing: OutgoingHeader, payload = 100): string {
  const buffer = Buffer.alloc(300, 0xee)
  const end = codec(label).write(buffer, 5, sender, outgoing)
  expect(end - 5).toBe(codec(label).length(outgoing, sender))
  const numberOffset = codec(label).finish(buffer, end, outgoing, end + payload)
  const behind = outgoing.nonce === undefined ? 0 : 32
  expect(numberOffset).toBe(end - behind - outgoing.packetNumberLength)
  return buffer.toString('hex', 5, end)
}

describe('long and short headers are written', () => {
  it.each([
    ['Q044', 'a client, its first', Client, { packetNumber: 1 }, `ff51303434 50${id} 00000001`],
    ['Q044', 'cleartext of a client', Client, {}, `fd51303434 50${id} 12345678`],
    ['Q044', 'cleartext of a server', Server, {}, `fd51303434 05${id} 12345678`],
    ['Q044', 'a client with initial keys', Client, { level: Initial }, `fc51303434 50${id} 12345678`],
    ['Q044', 'a server with a nonce', Server, { level: Initial, nonce }, `fc51303434 05${id} 12345678 ${nonceHex}`],
    ['Q044', 'a client, short', Client, { level: ForwardSecure }, `32 ${id} 12345678`],
    ['Q044', 'a client, 1 byte', Client, { level: ForwardSecure, packetNumberLength: 1 }, `30 ${id} 78`],
    ['Q044', 'a server, 2 bytes', Server, { level: ForwardSecure, packetNumberLength: 2 }, '31 5678'],
    ['Q046', 'cleartext of a client', Client, {}, `c351303436 50${id} 12345678`],
    ['Q046', 'cleartext of a server', Server, {}, `c351303436 05${id} 12345678`],
    ['Q046', 'a server with a nonce', Server, { level: Initial, nonce }, `d351303436 05${id} 12345678 ${nonceHex}`],
    ['Q046', 'a client, short', Client, { level: ForwardSecure }, `43 ${id} 12345678`],
    ['Q046', 'a server, short', Server, { level: ForwardSecure, packetNumberLength: 1 }, '40 78'],
    ['Q050', 'cleartext of a client', Client, {}, `c351303530 08${id} 00 00 4068 12345678`],
    ['Q050', 'cleartext of a server', Server, {}, `c351303530 00 08${id} 00 4068 12345678`],
    ['Q050', 'a client with initial keys', Client, { level: Initial }, `d351303530 08${id} 00 4068 12345678`],
    ['Q050', 'a server with nonce', Server, { level: Initial, nonce }, `d351303530 0008${id} 4088 12345678 ${nonceHex}`],
    ['Q050', 'a client, short', Client, { level: ForwardSecure, packetNumberLength: 2 }, `41 ${id} 5678`]
  ])('%s: %s', (label, _name, sender, changes, expected) => {
    expect(write(label, sender, header(changes))).toBe(expected.replaceAll(' ', ''))
  })

  it('with a length of more than 255', () => {
    expect(write('Q050', Client, header({}), 1300)).toContain('451812345678')
  })

  it('with the widths of packet numbers that there are', () => {
    for (const { header: { packetNumberLength } } of long) {
      for (const needed of [1, 2, 4, 6]) {
        expect(packetNumberLength(needed, None)).toBe(4)
        expect(packetNumberLength(needed, Initial)).toBe(4)
        expect(packetNumberLength(needed, ForwardSecure)).toBe(Math.min(needed, 4))
      }
    }
    expect(codec('Q043').packetNumberLength(6, ForwardSecure)).toBe(6)
  })

  it('with room for the sample of header protection', () => {
    expect([1, 2, 3, 4].map(length => codec('Q050').minPayloadLength(length))).toEqual([3, 2, 1, 0])
    expect(codec('Q046').minPayloadLength(1)).toBe(0)
  })
})

describe('long and short headers are read', () => {
  function parse(label: string, text: string, receiver: Perspective): PacketHeader | undefined {
    const bytes = hex(text)
    const out = createPacketHeader()
    return codec(label).parse(bytes, 0, bytes.length, receiver, out) ? out : undefined
  }

  it('with every width of packet number', () => {
    expect(parse('Q046', `42 ${id} 123456`, Server)).toMatchObject({ wirePacketNumber: 0x123456, headerEnd: 12 })
    expect(parse('Q046', '43 12345678', Client)).toMatchObject({ wirePacketNumber: 0x12345678, versionTag: 0 })
    expect(parse('Q046', `c0 51303436 50${id} 12`, Server)).toMatchObject({ wirePacketNumber: 0x12, headerEnd: 15 })
    expect(parse('Q044', '33 12345678', Client)).toBeUndefined()
  })

  it('with the nonce of a 0-RTT packet from a server only', () => {
    const text = `d351303436 05${id} 00000007 ${nonceHex}`
    expect(parse('Q046', text, Client)).toMatchObject({ nonceOffset: 18, packetNumberOffset: 14, headerEnd: 50 })
    expect(parse('Q046', text.replace(`05${id}`, `50${id}`), Server)).toMatchObject({ nonceOffset: -1, headerEnd: 18 })
  })

  it('with whatever type goes for a key', () => {
    for (const first of ['c3', 'd3', 'e3']) {
      const parsed = parse('Q046', `${first} 51303436 50${id} 00000007`, Server)
      expect(parsed).toMatchObject({ keyLevel: ANY_LEVEL, versionTag: tagOf('Q046'), wirePacketNumber: 7 })
    }
    expect(parse('Q044', `fd 51303434 50${id} 00000007`, Server)?.keyLevel).toBe(ANY_LEVEL)
  })

  it.each([
    ['Q044', 'Retry', `fe51303434 50${id} 00000007`, Server],
    ['Q044', 'an unknown type', `c351303434 50${id} 00000007`, Server],
    ['Q044', 'a reserved bit', `38 ${id} 0007`, Server],
    ['Q044', 'another reserved bit', `34 ${id} 0007`, Server],
    ['Q046', 'Retry', `f351303436 50${id} 00000007`, Server],
    ['Q046', 'no fixed bit', `8351303436 50${id} 00000007`, Server],
    ['Q046', 'no fixed bit in a short header', `03 ${id} 00000007`, Server],
    ['Q046', 'a source id from a client', `c351303436 55${id}${id} 00000007`, Server],
    ['Q046', 'no id from a client', `c351303436 00${id} 00000007`, Server],
    ['Q046', 'a destination id from a server', `c351303436 50${id} 00000007`, Client],
    ['Q050', 'Retry', `f351303530 08${id} 00 4014 ${'00'.repeat(20)}`, Server],
    ['Q050', 'Handshake', `e351303530 08${id} 00 4014 ${'00'.repeat(20)}`, Server],
    ['Q050', 'a source id from a client', `d351303530 08${id} 01aa 4014 ${'00'.repeat(20)}`, Server],
    ['Q050', 'a longer destination id', `d351303530 09aa${id} 00 4014 ${'00'.repeat(20)}`, Server],
    ['Q050', 'a destination id from a server', `d351303530 08${id} 00 4014 ${'00'.repeat(20)}`, Client],
    ['Q050', 'a length beyond the datagram', `d351303530 08${id} 00 4015 ${'00'.repeat(20)}`, Server],
    ['Q050', 'a length of 0', `d351303530 08${id} 00 4000 ${'00'.repeat(20)}`, Server],
    ['Q050', 'a token beyond the datagram', `c351303530 08${id} 00 407f 4014 ${'00'.repeat(20)}`, Server]
  ])('unless there is something wrong: %s %s', (label, _name, text, receiver) => {
    expect(parse(label, text, receiver)).toBeUndefined()
  })

  it("with the first byte of the reference's stateless resets, which are to fail later", () => {
    for (const label of ['Q044', 'Q046', 'Q050']) expect(parse(label, `70${'00'.repeat(40)}`, Client)).toBeDefined()
  })

  it('as far as the datagram where they are malformed', () => {
    for (const version of knownVersions) {
      const out = createPacketHeader()
      expect(version.header.parse(hex('ff'.repeat(40)), 3, 37, Server, out)).toBe(false)
      expect(out.packetEnd).toBe(37)
    }
  })

  it('with every width of Q050 length and token', () => {
    const body = '00'.repeat(20)
    for (const length of ['14', '4014', '80000014', 'c000000000000014']) {
      const text = `c351303530 08${id} 00 02beef ${length} ${body} ffff`
      expect(parse('Q050', text, Server)).toMatchObject({
        keyLevel: None,
        packetNumberOffset: 18 + length.length / 2,
        packetEnd: 18 + length.length / 2 + 20
      })
    }
  })

  const anyHeader = fc.record({
    version: fc.constantFrom(...long),
    sender: fc.constantFrom(Client, Server),
    level: fc.constantFrom(None, Initial, ForwardSecure),
    packetNumber: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
    needed: fc.constantFrom(1, 2, 4, 6)
  })

  it('as they were written, and nowhere when they are cut', () => {
    // A mask of all ones stands in for header protection.
    const protector = { mask: () => new Uint8Array(5).fill(0xff) }
    fc.assert(
      fc.property(anyHeader, ({ version, sender, level, packetNumber, needed }) => {
        const withNonce = sender === Server && level === Initial
        const packetNumberLength = version.header.packetNumberLength(needed, level)
        const outgoing = header({ level, packetNumber, packetNumberLength, nonce: withNonce ? nonce : undefined })
        const bytes = Buffer.alloc(version.header.length(outgoing, sender) + 20)
        const end = version.header.write(bytes, 0, sender, outgoing)
        const numberOffset = version.header.finish(bytes, end, outgoing, bytes.length)
        const receiver = sender === Client ? Server : Client
        const plain = Buffer.from(bytes)
        if (version.protection.headerProtection) {
          bytes[0]! ^= level === ForwardSecure ? 0x1f : 0x0f
          for (let i = 0; i < packetNumberLength; i++) bytes[numberOffset + i]! ^= 0xff
        }
        const masked = Buffer.from(bytes)
        const parsed = createPacketHeader()
        expect(version.header.parse(bytes, 0, bytes.length, receiver, parsed)).toBe(true)
        expect(version.header.reveal(bytes, 0, receiver, protector, parsed)).toBe(true)
        expect(bytes).toEqual(plain)
        expect(parsed).toEqual({
          versionTag: level === ForwardSecure ? 0 : version.tag,
          keyLevel: version.keySelection === 'by-type' ? level : ANY_LEVEL,
          nonceOffset: withNonce ? end - 32 : -1,
          packetNumberOffset: numberOffset,
          wirePacketNumber: packetNumber % 2 ** (8 * packetNumberLength),
          packetNumberLength,
          headerEnd: end,
          packetEnd: bytes.length
        })
        version.header.conceal(bytes, 0, protector, parsed)
        expect(bytes).toEqual(masked)
        for (let cut = 0; cut < end; cut++) {
          const whole =
            version.header.parse(bytes, 0, cut, receiver, parsed) &&
            version.header.reveal(bytes, 0, receiver, protector, parsed)
          expect(whole).toBe(false)
          expect(bytes).toEqual(masked)
        }
      })
    )
  })

  it('without a fault whatever the bytes are', () => {
    const protector = { mask: () => new Uint8Array(5).fill(0x55) }
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 80 })
    fc.assert(
      fc.property(fc.constantFrom(...knownVersions), fc.constantFrom(Client, Server), bytes, (version, receiver, b) => {
        const out = createPacketHeader()
        if (!version.header.parse(b, 0, b.length, receiver, out)) return
        if (!version.header.reveal(b, 0, receiver, protector, out)) return
        expect(out.packetNumberLength).toBeGreaterThan(0)
        expect(out.headerEnd).toBeLessThanOrEqual(out.packetEnd)
        expect(out.packetEnd).toBeLessThanOrEqual(b.length)
      }),
      { numRuns: 3000 }
    )
  })
})
