import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileSessionCache } from '../../../src/endpoint/session-cache.js'
import { compressChain } from '../../../src/quic/crypto/cert-compressor.js'
import type { CachedServerState } from '../../../src/quic/handshake/client/cached-server-state.js'
import { ClientSessionCache } from '../../../src/quic/handshake/client/session-cache.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { Tag } from '../../../src/quic/wire/tags.js'

const now = 1_800_000_000
const chain = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5)]
let dir: string
let file: string
let warnings: string[]

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quicgate-sessions-'))
  file = join(dir, 'sessions.json')
  warnings = []
})

afterEach(() => rmSync(dir, { recursive: true, force: true }))

function open(maxServers?: number): FileSessionCache {
  return new FileSessionCache(file, { maxServers, onWarning: (message) => warnings.push(message) })
}

/** What a rejection brings. */
function learn(state: CachedServerState, token = 'token'): void {
  const scfg = new HandshakeMessage('SCFG').setUint64(Tag.EXPY, now + 100).setText(Tag.SCID, 'id')
  const rej = new HandshakeMessage('REJ')
    .set(Tag.SCFG, scfg.serialize())
    .setText(Tag.STK, token)
    .set(Tag.CRT, compressChain(chain))
    .setText(Tag.PROF, 'signature')
    .setText(Tag.CSCT, 'timestamps')
  state.update(rej, Buffer.from('hash'), now)
}

describe('a session cache in a file', () => {
  it('brings everything back after a restart, the proof to be verified anew', () => {
    const cache = open()
    const before = cache.lookup('www.example.org', 443)
    learn(before)
    before.markProofValid()
    cache.flush()
    const after = open().lookup('WWW.example.org', 443)
    expect(after.save()).toEqual(before.save())
    expect(Buffer.from(after.serverConfig!.get(Tag.SCID)!).toString()).toBe('id')
    expect(after.chain.map((der) => [...der])).toEqual(chain.map((der) => [...der]))
    expect(Buffer.from(after.timestamps).toString()).toBe('timestamps')
    expect(after.proofValid).toBe(false)
    after.markProofValid()
    expect([after.isComplete(now + 100), after.isComplete(now + 101)]).toEqual([true, false])
    expect(open().lookup('www.example.org', 444).serverConfig).toBeUndefined()
    expect(warnings).toEqual([])
  })

  it('is private, also where it was not, and leaves nothing else behind', () => {
    writeFileSync(file, '')
    chmodSync(file, 0o644)
    const cache = open()
    learn(cache.lookup('a.example', 1))
    cache.flush()
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readdirSync(dir)).toEqual(['sessions.json'])
  })

  it('is written once what was learned has changed, and not otherwise', () => {
    const cache = open()
    cache.lookup('a.example', 1)
    cache.flush()
    expect(readdirSync(dir)).toEqual([])
    const state = cache.lookup('a.example', 1)
    learn(state)
    cache.flush()
    const first = readFileSync(file, 'utf8')
    expect(JSON.parse(first)).toMatchObject({ format: 'quicgate session cache 1', servers: { 'a.example:1': {} } })
    state.sourceAddressToken = Buffer.from('newer')
    cache.flush()
    expect(readFileSync(file, 'utf8')).not.toBe(first)
    expect(Buffer.from(open().lookup('a.example', 1).sourceAddressToken).toString()).toBe('newer')
    state.clear()
    cache.flush()
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ servers: {} })
  })

  it('forgets the servers that were not needed for longest', () => {
    const cache = open(3)
    for (const name of ['a', 'b', 'c']) learn(cache.lookup(name, 1))
    cache.lookup('a', 1)
    learn(cache.lookup('d', 1))
    cache.flush()
    expect(Object.keys((JSON.parse(readFileSync(file, 'utf8')) as { servers: object }).servers)).toEqual(['c:1', 'a:1', 'd:1'])
    expect(open(2).size).toBe(2)
  })

  it('goes on without what is damaged, and says so', () => {
    for (const content of ['{', '[]', 'null', '{"format":"another","servers":{}}', '{"format":"quicgate session cache 1"}']) {
      writeFileSync(file, content)
      expect(open().size).toBe(0)
    }
    expect(warnings).toHaveLength(5)
    expect(warnings[0]).toMatch(/^session cache .*sessions\.json is no session cache, or is damaged; it will be replaced$/)
    const cache = open()
    learn(cache.lookup('a', 1))
    learn(cache.lookup('b', 1))
    cache.flush()
    warnings = []
    const text = readFileSync(file, 'utf8').replace(/"a:1":\{"serverConfig":"[^"]*"/, '"a:1":{"serverConfig":"AAAA"')
    writeFileSync(file, text)
    expect(open().size).toBe(1)
    expect(warnings).toEqual([expect.stringMatching(/holds 1 damaged entries/) as string])
  })

  it('goes on without a place to write to, and says so', () => {
    const cache = new FileSessionCache(join(dir, 'missing', 'f'), { onWarning: (message) => warnings.push(message) })
    learn(cache.lookup('a', 1))
    cache.flush()
    expect(warnings).toEqual([expect.stringMatching(/cannot be written \(ENOENT\)/) as string])
    new FileSessionCache(dir, { onWarning: (message) => warnings.push(message) })
    expect(warnings[1]).toMatch(/cannot be read \(EISDIR\)/)
  })
})

describe('a session cache in memory', () => {
  it('gives connections to the same server the same state', () => {
    const cache = new ClientSessionCache()
    const state = cache.lookup('a.example', 1)
    expect(cache.lookup('A.EXAMPLE', 1)).toBe(state)
    expect(cache.lookup('a.example', 2)).not.toBe(state)
    cache.clear()
    expect(cache.lookup('a.example', 1)).not.toBe(state)
  })
})
