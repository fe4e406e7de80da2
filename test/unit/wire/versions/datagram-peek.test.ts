import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { ConnectionId } from '../../../../src/quic/connection-id.js'
import { Perspective } from '../../../../src/quic/types.js'
import { DatagramKind, DatagramPeek, HeaderForm, peekDatagram } from '../../../../src/quic/wire/datagram-peek.js'
import {
  buildStatelessReset,
  isStatelessReset,
  RESET_RANDOM_LENGTH
} from '../../../../src/quic/wire/stateless-reset.js'
import { tagOf } from '../../../../src/quic/wire/tags.js'
import {
  answerVersion,
  isReservedVersion,
  parseVersionNegotiation
} from '../../../../src/quic/wire/version-negotiation.js'
import { knownVersions } from '../../../../src/quic/wire/versions/registry.js'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const id = '1032547698badcfe'
const halves = ConnectionId.fromHex(id)
const tags = ['Q046', 'Q043'].map(tagOf)

function peek(text: string, receiver: Perspective, longHeaders = false): DatagramPeek | undefined {
  const out = new DatagramPeek(receiver)
  out.longHeaders = longHeaders
  const bytes = hex(text)
  return peekDatagram(bytes, 0, bytes.length, out) ? out : undefined
}

const atServer = (text: string) => peek(text, Perspective.Server)
const atClient = (text: string) => peek(text, Perspective.Client, true)

describe('a server finds the connection id', () => {
  it.each([
    ['public', `0d${id}5130343301`, HeaderForm.Public, 'Q043', 1],
    ['public with all bits of the number', `3c${id}010203040506`, HeaderForm.Public, '', 1],
    ['Q044 short', `30${id}01`, HeaderForm.Short, '', 1],
    ['Q046 short', `43${id}01020304`, HeaderForm.Short, '', 1],
    ['Q050 short, masked', `5f${id}01020304`, HeaderForm.Short, '', 1],
    ['Q044 long', `ff5130343450${id}00000001`, HeaderForm.LongNibbles, 'Q044', 6],
    ['Q046 long', `c35130343650${id}00000001`, HeaderForm.LongNibbles, 'Q046', 6],
    ['Q047 long', `c35130343750${id}00000001`, HeaderForm.LongNibbles, 'Q047', 6],
    ['Q050 long', `c35130353008${id}0000401400000001`, HeaderForm.LongPrefixed, 'Q050', 6],
    ['an unknown version', `80aabbccdd08${id}04010203040000`, HeaderForm.LongPrefixed, '\xaa\xbb\xcc\xdd', 6]
  ])('of %s', (_name, text, form, label, offset) => {
    expect(atServer(text)).toMatchObject({
      kind: DatagramKind.Data,
      form,
      versionTag: tagOf(label),
      hasConnectionId: true,
      connectionIdOffset: offset,
      connectionIdLow: halves.low,
      connectionIdHigh: halves.high
    })
  })

  it('of no other length than 8', () => {
    expect(atServer('80aabbccdd 0401020304 00 00')).toMatchObject({
      hasConnectionId: false, destinationOffset: 6, destinationLength: 4, sourceLength: 0
    })
    expect(atServer('0001')).toMatchObject({ hasConnectionId: false, form: HeaderForm.Public })
  })

  it.each([
    ['version negotiation', `8000000000 08${id} 00 51303436`],
    ['a long header cut in its version', 'c3513034'],
    ['a long header cut in its id', 'c35130343650 10325476'],
    ['a long header cut in its second id', `c3aabbccdd 08${id} 08 1032`],
    ['a short header cut in its id', '43 103254'],
    ['nothing', '']
  ])('not of %s', (_name, text) => {
    expect(atServer(text)).toBeUndefined()
  })
})

describe('a client', () => {
  it('of a version with long headers takes short packets as they come', () => {
    for (const first of ['30', '40', '08', '0d']) {
      expect(atClient(`${first}01`)).toMatchObject({ kind: DatagramKind.Data, hasConnectionId: false, bodyStart: 1 })
    }
  })

  it('finds its connection id as the source in long packets', () => {
    for (const text of [`fd5130343405${id}00000001`, `c3513035300008${id}00401400`]) {
      const expected = { hasConnectionId: true, connectionIdLow: halves.low, kind: DatagramKind.Data }
      expect(atClient(text)).toMatchObject(expected)
    }
  })

  it('of an older version sees no long headers', () => {
    expect(peek(`80${id}01`, Perspective.Client)).toBeUndefined()
    expect(peek(`0d${id}51303336`, Perspective.Client)).toMatchObject({ kind: DatagramKind.VersionNegotiation })
  })
})

describe('version negotiation', () => {
  it.each([
    ['public', `0d${id}5130393901`, `0d${id}`, false],
    ['nibbles', `c35130343550${id}00000001`, `c00000000005${id}`, true],
    ['lengths first', `c3aabbccdd08${id}00`, `c0000000000008${id}`, true]
  ])('answers in the form of the question: %s', (_name, question, start, longHeaders) => {
    const bytes = hex(question)
    const answer = Buffer.from(answerVersion(bytes, atServer(question)!, tags)).toString('hex')
    expect(answer).toBe(`${start}5130343651303433`)
    const found = peek(answer, Perspective.Client, longHeaders)!
    expect(found).toMatchObject({ kind: DatagramKind.VersionNegotiation, connectionIdLow: halves.low })
    expect(parseVersionNegotiation(hex(answer), found.bodyStart, answer.length / 2)).toEqual(tags)
  })

  it('echoes ids of any length, with their roles exchanged', () => {
    const question = hex('c3aabbccdd 03010203 05aaaaaaaaaa 00')
    const answer = answerVersion(question, atServer(question.toString('hex'))!, tags)
    expect(Buffer.from(answer)).toEqual(hex('c000000000 05aaaaaaaaaa 03010203 5130343651303433'))
    const nibbles = hex('c351303436 15 aaaaaaaa 0102030405060708 00')
    expect(Buffer.from(answerVersion(nibbles, atServer(nibbles.toString('hex'))!, tags)).toString('hex', 5, 18)).toBe(
      '510102030405060708aaaaaaaa'
    )
  })

  it('cut anywhere before its list is refused', () => {
    for (const text of [`c000000000 05${id}`, `c000000000 00 08${id}`]) {
      for (let end = 0; end < hex(text).length; end++) {
        expect(atClient(hex(text).toString('hex', 0, end))?.kind).not.toBe(DatagramKind.VersionNegotiation)
      }
    }
  })

  it('may list what is no version', () => {
    expect([0x0a1a2a3a, 0xdaeafa0a, 0x1a1a1a1a].map(isReservedVersion)).toEqual([true, true, true])
    expect(knownVersions.some(({ tag }) => isReservedVersion(tag))).toBe(false)
  })
})

describe('a stateless reset', () => {
  const token = Buffer.from('0123456789abcdef')
  const reset = buildStatelessReset(token, Buffer.alloc(RESET_RANDOM_LENGTH, 7))

  it('looks like the reference makes it', () => {
    expect(reset).toHaveLength(41)
    expect(reset[0]).toBe(0x70)
    expect(atServer(Buffer.from(reset).toString('hex'))).toMatchObject({ form: HeaderForm.Short })
  })

  it('is known by its token and nothing else', () => {
    expect(isStatelessReset(reset, 0, reset.length, token)).toBe(true)
    for (let i = 0; i < 16; i++) {
      const other = Uint8Array.from(reset)
      other[other.length - 1 - i]! ^= 1
      expect(isStatelessReset(other, 0, other.length, token)).toBe(false)
    }
    expect(isStatelessReset(reset, 0, reset.length - 1, token)).toBe(false)
    expect(isStatelessReset(token, 0, 16, token)).toBe(false)
    const long = Uint8Array.from(reset)
    long[0] = 0xc0
    expect(isStatelessReset(long, 0, long.length, token)).toBe(false)
  })
})

it('random bytes never make it look beyond the datagram', () => {
  const receivers = fc.constantFrom(Perspective.Client, Perspective.Server)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), receivers, fc.boolean(), (bytes, receiver, longHeaders) => {
      const out = new DatagramPeek(receiver)
      out.longHeaders = longHeaders
      if (!peekDatagram(bytes, 0, bytes.length, out)) return
      expect(out.bodyStart).toBeLessThanOrEqual(bytes.length)
      if (out.hasConnectionId) expect(out.connectionIdOffset + 8).toBeLessThanOrEqual(bytes.length)
    }),
    { numRuns: 3000 }
  )
})
