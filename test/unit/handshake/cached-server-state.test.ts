import { describe, expect, it } from 'vitest'
import { compressChain } from '../../../src/quic/crypto/cert-compressor.js'
import { CachedServerState } from '../../../src/quic/handshake/client/cached-server-state.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { Tag } from '../../../src/quic/wire/tags.js'

const now = 1_800_000_000
const hash = new Uint8Array(32)

function rejection(configId: string, proof = 'signature', certificate = 'leaf'): HandshakeMessage {
  const scfg = new HandshakeMessage('SCFG').setText(Tag.SCID, configId).setUint64(Tag.EXPY, now + 100)
  return new HandshakeMessage('REJ')
    .set(Tag.SCFG, scfg.serialize())
    .setText(Tag.PROF, proof)
    .set(Tag.CRT, compressChain([Buffer.from(certificate)]))
}

function verified(): CachedServerState {
  const cached = new CachedServerState()
  cached.update(rejection('a'), hash, now)
  expect(cached.isComplete(now)).toBe(false)
  cached.markProofValid()
  expect(cached.isComplete(now)).toBe(true)
  return cached
}

describe('CachedServerState', () => {
  it('stays valid when the server repeats what has been verified', () => {
    const cached = verified()
    cached.update(rejection('a'), hash, now)
    expect(cached.isComplete(now)).toBe(true)
  })

  it('has to be verified again as soon as anything that the proof covers is another', () => {
    const changes: [HandshakeMessage, Uint8Array][] = [
      [rejection('b'), hash],
      [rejection('a', 'other'), hash],
      [rejection('a', 'signature', 'other'), hash],
      [rejection('a'), new Uint8Array(32).fill(1)]
    ]
    for (const [message, chloHash] of changes) {
      const cached = verified()
      cached.update(message, chloHash, now)
      expect(cached.proofValid).toBe(false)
      expect(cached.isComplete(now)).toBe(false)
    }
  })

  it('does not let a proof stand for a config that came without one', () => {
    const cached = verified()
    const bare = rejection('a')
    bare.delete(Tag.PROF)
    bare.delete(Tag.CRT)
    cached.update(bare, hash, now)
    expect(cached.isComplete(now)).toBe(false)
    expect(cached.chain).toEqual([])
  })

  it('ends when the config does, which STTL may say better than EXPY', () => {
    const cached = verified()
    expect(cached.isComplete(now + 100)).toBe(true)
    expect(cached.isComplete(now + 101)).toBe(false)
    cached.update(rejection('a').setUint64(Tag.STTL, 500), hash, now)
    expect(cached.isComplete(now + 500)).toBe(true)
    expect(cached.isComplete(now + 501)).toBe(false)
  })

  it('can be emptied', () => {
    const cached = verified()
    cached.sourceAddressToken = Buffer.from('token')
    cached.clear()
    expect(cached.serverConfig).toBeUndefined()
    expect([cached.serverConfigBytes, cached.signature, cached.chloHash, cached.sourceAddressToken]).toEqual(
      Array(4).fill(new Uint8Array(0))
    )
    expect(cached.isComplete(now)).toBe(false)
  })
})
