import { expect, it } from 'vitest'
import { tagOf } from '../../../../src/quic/wire/tags.js'
import {
  knownVersionByLabel,
  knownVersionByTag,
  knownVersions,
  supportedVersions
} from '../../../../src/quic/wire/versions/registry.js'
import type { VersionTraits } from '../../../../src/quic/wire/versions/version.js'

const labels = (holds: (traits: VersionTraits) => boolean): string[] =>
  knownVersions.filter(({ traits }) => holds(traits)).map(({ number }) => String(number)).reverse()
const from = (first: number): string[] =>
  knownVersions.map(({ number }) => number).filter(number => number >= first).map(String).reverse()
const through = (last: number): string[] =>
  knownVersions.map(({ number }) => number).filter(number => number <= last).map(String).reverse()

it('every version is found by label and tag, newest first', () => {
  expect(from(0)).toEqual(['32', '33', '34', '35', '36', '37', '38', '39', '43', '44', '46', '50'])
  for (const version of knownVersions) {
    expect(version.tag).toBe(tagOf(version.label))
    expect(version.label).toBe(`Q0${version.number}`)
    expect(knownVersionByTag(version.tag)).toBe(version)
    expect(knownVersionByLabel(version.label)).toBe(version)
  }
  expect(knownVersionByLabel('Q041')).toBeUndefined()
  for (const version of supportedVersions) expect(knownVersions).toContain(version)
})

it('traits change where the ladder of versions says', () => {
  expect(labels(t => t.entropy)).toEqual(through(33))
  expect(labels(t => t.diversification)).toEqual(from(33))
  expect(labels(t => t.maxIncomingStreamsTag && t.pushByDefault)).toEqual(from(35))
  expect(labels(t => t.forcedHolBlocking)).toEqual(['36'])
  expect(labels(t => t.stopWaitingOptional)).toEqual(['38', '39', '43'])
  expect(labels(t => t.acksAckOnlyPackets)).toEqual(through(38))
  expect(labels(t => t.rejectsOverlap)).toEqual(through(39))
  expect(labels(t => t.priorityFrames)).toEqual(from(43))
  expect(labels(t => t.stopWaiting)).toEqual(through(43))
  expect(labels(t => t.longHeaders && t.statelessReset)).toEqual(from(44))
  expect(labels(t => t.minClientHelloDatagram === 1200)).toEqual(from(46))
  expect(labels(t => t.minClientHelloDatagram === 0)).toEqual(through(44))
  expect(labels(t => t.messageFrames)).toEqual(from(46))
  expect(labels(t => t.cryptoFrames)).toEqual(['50'])
})

it('only Q050 counts streams without the handshake and protects as IETF QUIC does', () => {
  for (const { number, traits, protection, keySelection, frames } of knownVersions) {
    const ids = [traits.cryptoStreamId, traits.headersStreamId, traits.firstClientStreamId, traits.firstServerStreamId]
    const last = number === 50
    expect(ids).toEqual(last ? [-1, 1, 3, 2] : [1, 3, 5, 2])
    expect(protection).toEqual(
      last
        ? { ivLength: 12, tagLength: 16, headerProtection: true }
        : { ivLength: 4, tagLength: 12, headerProtection: false }
    )
    expect(keySelection).toBe(last ? 'by-type' : 'trial')
    expect(frames.createWriter().bigEndian).toBe(number >= 39)
    expect(frames.createReader().bigEndian).toBe(number >= 39)
  }
})
