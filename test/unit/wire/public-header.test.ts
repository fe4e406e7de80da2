import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { PacketBatch } from '../../../src/quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../../../src/quic/types.js'
import { DatagramKind, DatagramPeek, peekDatagram } from '../../../src/quic/wire/datagram-peek.js'
import { PublicHeaderCodec } from '../../../src/quic/wire/public-header.js'
import { buildPublicReset, parsePublicReset } from '../../../src/quic/wire/public-reset.js'
import { decodeSocketAddress, encodeSocketAddress } from '../../../src/quic/wire/socket-address.js'
import { tagOf } from '../../../src/quic/wire/tags.js'
import { knownVersions, supportedVersions, versionByLabel, versionByTag } from '../../../src/quic/wire/versions/registry.js'
import { ANY_LEVEL, createPacketHeader } from '../../../src/quic/wire/versions/version.js'
import type { OutgoingHeader, PacketHeader } from '../../../src/quic/wire/versions/version.js'
import { buildVersionNegotiation, parseVersionNegotiation } from '../../../src/quic/wire/version-negotiation.js'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const cid = hex('1032547698badcfe')
const cidHex = '1032547698badcfe'
const nonce = Buffer.alloc(32, 3)
const { Client, Server } = Perspective
const q036 = versionByLabel('Q036')!
const publicVersions = knownVersions.filter(version => !version.traits.longHeaders)

function emptyHeader(): PacketHeader {
  return createPacketHeader()
}

function header(changes: Partial<OutgoingHeader>): OutgoingHeader {
  return {
    connectionId: cid,
    includeVersion: false,
    nonce: undefined,
    packetNumber: 1,
    packetNumberLength: 1,
    level: EncryptionLevel.None,
    ...changes
  }
}

function write(sender: Perspective, outgoing: OutgoingHeader, codec = q036.header): string {
  const buffer = Buffer.alloc(80, 0xee)
  const end = codec.write(buffer, 5, sender, outgoing)
  expect(end - 5).toBe(codec.length(outgoing, sender))
  return buffer.subarray(5, end).toString('hex')
}

describe('public header', () => {
  it.each([
    ['client with version', Client, { includeVersion: true }, `0d${cidHex}5130333601`],
    ['client', Client, { packetNumber: 3 }, `0c${cidHex}03`],
    ['server', Server, { packetNumber: 0x1234, packetNumberLength: 2 }, `18${cidHex}3412`],
    ['server with nonce', Server, { nonce, packetNumber: 2 }, `0c${cidHex}${'03'.repeat(32)}02`],
    ['server without connection id', Server, { connectionId: undefined, packetNumber: 7 }, '0007'],
    ['4-byte number', Client, { packetNumber: 0x12345678, packetNumberLength: 4 }, `2c${cidHex}78563412`],
    ['6-byte number', Client, { packetNumber: 0x123456789abc, packetNumberLength: 6 }, `3c${cidHex}bc9a78563412`],
    ['truncated number', Client, { packetNumber: 0x12345, packetNumberLength: 2 }, `1c${cidHex}4523`]
  ])('of a %s is written', (_name, sender, changes, expected) => {
    expect(write(sender, header(changes))).toBe(expected)
  })

  it('has big-endian packet numbers, but not tags, where a version wants it', () => {
    const codec = new PublicHeaderCodec({ versionTag: tagOf('Q039'), bigEndian: true, diversification: true })
    const outgoing = header({ includeVersion: true, packetNumber: 0x12345678, packetNumberLength: 4 })
    const text = `2d${cidHex}5130333912345678`
    expect(write(Client, outgoing, codec)).toBe(text)
    const parsed = emptyHeader()
    expect(codec.parse(hex(text), 0, 17, Server, parsed)).toBe(true)
    expect(parsed).toMatchObject({ versionTag: tagOf('Q039'), wirePacketNumber: 0x12345678 })
  })

  it('gives a server without diversification both connection id bits', () => {
    const codec = new PublicHeaderCodec({ versionTag: tagOf('Q032'), bigEndian: false, diversification: false })
    expect(write(Server, header({}), codec)).toBe(`0c${cidHex}01`)
    const parsed = emptyHeader()
    expect(codec.parse(hex(`0c${cidHex}01`), 0, 10, Client, parsed)).toBe(true)
    expect(parsed).toMatchObject({ nonceOffset: -1, wirePacketNumber: 1 })
  })

  it('takes flag 0x04 for a nonce at a client only', () => {
    const bytes = hex(`0c${cidHex}${'03'.repeat(32)}02`)
    const parsed = emptyHeader()
    expect(q036.header.parse(bytes, 0, bytes.length, Client, parsed)).toBe(true)
    expect(parsed).toEqual({
      versionTag: 0,
      keyLevel: ANY_LEVEL,
      nonceOffset: 9,
      packetNumberOffset: 41,
      wirePacketNumber: 2,
      packetNumberLength: 1,
      headerEnd: 42,
      packetEnd: 42
    })
    expect(q036.header.parse(bytes, 0, bytes.length, Server, parsed)).toBe(true)
    expect(parsed).toMatchObject({ versionTag: 0, nonceOffset: -1, wirePacketNumber: 3, headerEnd: 10 })
  })

  it.each([
    ['reserved bit', 0x8c], ['multipath', 0x4c], ['public reset', 0x0e]
  ])('with %s is refused', (_name, flags) => {
    const bytes = Buffer.concat([Buffer.from([flags]), Buffer.alloc(60)])
    expect(q036.header.parse(bytes, 0, bytes.length, Server, emptyHeader())).toBe(false)
  })

  it('with a version is refused by a client', () => {
    expect(q036.header.parse(hex(`0d${cidHex}5130333601`), 0, 14, Client, emptyHeader())).toBe(false)
  })

  it('keeps every value, and is refused wherever it is cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(Client, Server), fc.boolean(), fc.boolean(), fc.boolean(), fc.constantFrom(1, 2, 4, 6),
        fc.integer({ min: 1, max: 2 ** 48 - 1 }), fc.constantFrom(...publicVersions),
        (sender, withId, withVersion, withNonce, packetNumberLength, packetNumber, version) => {
          const outgoing = header({
            connectionId: withId ? cid : undefined,
            includeVersion: withVersion && sender === Client,
            nonce: withNonce && sender === Server && version.traits.diversification ? nonce : undefined,
            packetNumber,
            packetNumberLength
          })
          const bytes = hex(write(sender, outgoing, version.header))
          const receiver = sender === Client ? Server : Client
          const parsed = emptyHeader()
          expect(version.header.parse(bytes, 0, bytes.length, receiver, parsed)).toBe(true)
          expect(parsed).toEqual({
            versionTag: outgoing.includeVersion ? version.tag : 0,
            nonceOffset: outgoing.nonce ? (withId ? 9 : 1) : -1,
            wirePacketNumber: packetNumber % 2 ** (8 * packetNumberLength),
            packetNumberLength,
            keyLevel: ANY_LEVEL,
            packetNumberOffset: bytes.length - packetNumberLength,
            headerEnd: bytes.length,
            packetEnd: bytes.length
          })
          for (let end = 0; end < bytes.length; end++) {
            expect(version.header.parse(bytes, 0, end, receiver, parsed)).toBe(false)
          }
        }
      )
    )
  })

  it('makes the known packet of a client', () => {
    const expected = hex('0d 1032547698badcfe 51303336 01 54ea67cc66093c62b28f67d3 07 000000')
    const sealer = q036.nullSealer(Client)
    const batch = new PacketBatch()
    batch.buffer = Buffer.alloc(expected.length)
    const headerEnd = q036.header.write(batch.buffer, 0, Client, header({ includeVersion: true }))
    const out = q036.frames.createWriter().reset(batch.buffer, headerEnd + sealer.prefixLength)
    q036.frames.writePing(out)
    q036.frames.writePadding(out, 3)
    batch.add(0, headerEnd + sealer.prefixLength, out.position, 1)
    sealer.seal(batch)
    expect(batch.buffer).toEqual(expected)
    expect(q036.nullOpener(Client).open(expected, 0, headerEnd, expected.length, 1)).toBe(4)
  })
})

describe('peekDatagram', () => {
  const atServer = new DatagramPeek(Server)
  const atClient = new DatagramPeek(Client)

  it('tells the three shapes apart', () => {
    const versioned = hex(`0d${cidHex}5130333601`)
    expect(peekDatagram(versioned, 0, versioned.length, atServer)).toBe(true)
    expect(atServer).toMatchObject({ kind: DatagramKind.Data, versionTag: q036.tag, bodyStart: 13 })
    expect(peekDatagram(versioned, 0, versioned.length, atClient)).toBe(true)
    expect(atClient).toMatchObject({ kind: DatagramKind.VersionNegotiation, versionTag: 0, bodyStart: 9 })
    const reset = hex(`0e${cidHex}50525354`)
    expect(peekDatagram(reset, 0, reset.length, atClient)).toBe(true)
    expect(atClient).toMatchObject({ kind: DatagramKind.PublicReset, bodyStart: 9 })
  })

  it('gives the connection id as its halves', () => {
    const bytes = Buffer.concat([Buffer.alloc(7), hex(`0c${cidHex}01`)])
    expect(peekDatagram(bytes, 7, bytes.length, atServer)).toBe(true)
    const id = ConnectionId.fromHex(cidHex)
    expect(atServer).toMatchObject({ hasConnectionId: true, connectionIdLow: id.low, connectionIdHigh: id.high })
    expect(ConnectionId.read(bytes, atServer.connectionIdOffset).equals(id)).toBe(true)
  })

  it('takes packets without a connection id', () => {
    expect(peekDatagram(hex('0007'), 0, 2, atClient)).toBe(true)
    expect(atClient.kind).toBe(DatagramKind.Data)
    expect(atClient).toMatchObject({ hasConnectionId: false, connectionIdOffset: -1, bodyStart: 1 })
  })

  it.each([
    ['nothing', ''],
    ['half a connection id', '0c10325476'],
    ['half a version', `0d${cidHex}5130`],
    ['version and reset', `0f${cidHex}5130333601`],
    ['the reserved bit without a version', `8c${cidHex}01`],
    ['a reset without a connection id', '0250525354']
  ])('refuses %s', (_name, text) => {
    const bytes = hex(text)
    expect(peekDatagram(bytes, 0, bytes.length, atServer)).toBe(false)
  })

  it('never throws and never looks beyond the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(atServer, atClient), (bytes, peek) => {
        if (!peekDatagram(bytes, 0, bytes.length, peek)) return
        expect(peek.bodyStart).toBeLessThanOrEqual(bytes.length)
        const out = emptyHeader()
        if (peek.kind === DatagramKind.Data && q036.header.parse(bytes, 0, bytes.length, peek.receiver, out)) {
          expect(out.headerEnd).toBeLessThanOrEqual(bytes.length)
        }
      }),
      { numRuns: 2000 }
    )
  })
})

describe('version negotiation', () => {
  const tags = ['Q036', 'Q035', 'Q034'].map(tagOf)

  it('lists the server versions behind 0x0d and the connection id', () => {
    expect(Buffer.from(buildVersionNegotiation(cid, tags)).toString('latin1')).toBe(
      `\x0d${cid.toString('latin1')}Q036Q035Q034`
    )
  })

  it('parses what it builds', () => {
    const bytes = buildVersionNegotiation(cid, tags)
    const peek = new DatagramPeek(Client)
    expect(peekDatagram(bytes, 0, bytes.length, peek)).toBe(true)
    expect(parseVersionNegotiation(bytes, peek.bodyStart, bytes.length)).toEqual(tags)
  })

  it('refuses an empty list and stray bytes', () => {
    const bytes = buildVersionNegotiation(cid, tags)
    expect(parseVersionNegotiation(bytes, 9, 9)).toBeUndefined()
    for (const end of [10, 11, 12, 14, 15, 16]) expect(parseVersionNegotiation(bytes, 9, end)).toBeUndefined()
  })
})

describe('public reset', () => {
  const clientAddress = { family: 4, address: '127.0.0.1', port: 0x1234 } as const
  const known = hex(`0e${cidHex} 50525354 03000000 524e4f4e 08000000 52534551 10000000 43414452 18000000
    8967452301efcdab bc9a785634120000 0200 7f000001 3412`.replaceAll(/\s/g, ''))

  it('is built as the reference builds it', () => {
    expect(
      Buffer.from(
        buildPublicReset(cid, {
          nonceProof: hex('8967452301efcdab'),
          rejectedPacketNumber: 0x123456789abc,
          clientAddress
        })
      )
    ).toEqual(known)
  })

  it('is parsed', () => {
    const bytes = Buffer.from(known)
    const reset = parsePublicReset(bytes, 9, bytes.length)
    bytes.fill(0)
    expect(reset).toEqual({
      nonceProof: Uint8Array.from(hex('8967452301efcdab')),
      rejectedPacketNumber: 0x123456789abc,
      clientAddress
    })
  })

  it('has the constant proof by default and needs no address', () => {
    const bytes = buildPublicReset(cid, { rejectedPacketNumber: 7 })
    expect(parsePublicReset(bytes, 9, bytes.length)).toEqual({
      nonceProof: Uint8Array.from(hex('b5690f0000000000')),
      rejectedPacketNumber: 7,
      clientAddress: undefined
    })
  })

  it('is ignored when it is cut, carries no proof or is another message', () => {
    for (let end = 9; end < known.length; end++) expect(parsePublicReset(known, 9, end)).toBeUndefined()
    expect(parsePublicReset(hex('50525354 0000 0000'), 0, 8)).toBeUndefined()
    const other = Buffer.from(known)
    other.write('CHLO', 9, 'latin1')
    expect(parsePublicReset(other, 9, other.length)).toBeUndefined()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), bytes => {
        expect(parsePublicReset(bytes, 0, bytes.length)).toBeUndefined()
      })
    )
  })
})

describe('socket addresses', () => {
  it.each([
    [{ family: 4, address: '192.0.2.7', port: 443 }, '0200 c0000207 bb01'],
    [{ family: 6, address: '2001:db8::1', port: 6121 }, '0a00 20010db8000000000000000000000001 e917']
  ] as const)('%o is %s', (address, text) => {
    expect(Buffer.from(encodeSocketAddress(address))).toEqual(hex(text))
    expect(decodeSocketAddress(hex(text))).toEqual(address)
  })

  it('of a wrong size or family are none', () => {
    const wrong = ['', '02', '0200 c00002 bb01', '0200 c000020700 bb01', '0300 c0000207 bb01', '0a00 c0000207 bb01']
    for (const text of wrong) {
      expect(decodeSocketAddress(hex(text))).toBeUndefined()
    }
  })
})

describe('versions', () => {
  it('are listed newest first and found by tag and label', () => {
    const numbers = supportedVersions.map(version => version.number)
    expect(numbers).toEqual([...numbers].sort((a, b) => b - a))
    expect(numbers).toEqual(expect.arrayContaining([36, 35, 34]))
    for (const version of supportedVersions) {
      expect(versionByTag(version.tag)).toBe(version)
      expect(versionByLabel(version.label)).toBe(version)
      expect(version.tag).toBe(Buffer.from(version.label).readUInt32LE())
    }
    expect(versionByTag(tagOf('Q099'))).toBeUndefined()
    expect(versionByLabel('Q099')).toBeUndefined()
  })

  it('differ in what they may do', () => {
    const traits = (label: string) => versionByLabel(label)!.traits
    expect(traits('Q034')).toMatchObject({ maxIncomingStreamsTag: false, pushByDefault: false })
    expect(traits('Q035')).toMatchObject({ maxIncomingStreamsTag: true, pushByDefault: true, forcedHolBlocking: false })
    expect(traits('Q036')).toMatchObject({ maxIncomingStreamsTag: true, pushByDefault: true, forcedHolBlocking: true })
  })
})
