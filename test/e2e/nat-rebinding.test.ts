/**
 * A NAT between real processes that forgets its mappings in the middle of transfers.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { freeUdpPort, Program, quicgate, stopAll } from '../helpers/programs.js'
import { UdpRelay } from '../helpers/udp-relay.js'

const big = Buffer.alloc(4_000_000)
for (let i = 0; i < big.length; i++) big[i] = (i * 11 + (i >> 8)) & 0xff

let dir: string
let port: number

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'localhost', 'www.example.com')
  mkdirSync(join(dir, 'www'))
  writeFileSync(join(dir, 'www/big.bin'), big)
  port = await freeUdpPort()
  const tls = ['--cert', join(dir, 'certs/cert.pem'), '--key', join(dir, 'certs/key.pem')]
  await Program.start(['serve', '--listen', `127.0.0.1:${port}`, ...tls, '--root', join(dir, 'www')], /^serving /m)
}, 120_000)

afterAll(async () => {
  await stopAll()
  removeScratch(dir)
})

/** Rebinds after every 500 datagrams, so that the number of moves does not depend on the machine's speed. */
function moving(relay: UdpRelay, counter: { readonly passed: number }): { stop(): void; moves: number } {
  const state = {
    moves: 0,
    stop: () => clearInterval(timer)
  }
  const timer = setInterval(() => {
    if (counter.passed < 500 * (state.moves + 1)) return
    relay.rebind()
    state.moves++
  }, 1)
  return state
}

describe('mechanism: NAT rebinding', () => {
  it.each(supportedVersions.map((version) => version.label))('a download over a NAT that moves it about: %s', async (version) => {
    const relay = await UdpRelay.start({ serverPort: port, seed: 1, loss: 0.005, delayMs: 2 })
    const moves = moving(relay, relay.toClient)
    const out = join(dir, `out-${version}.bin`)
    const { code, stderr } = await quicgate([
      'fetch', `https://localhost:${port}/big.bin`, '--connect', `127.0.0.1:${relay.port}`,
      '--ca', join(dir, 'certs/ca.pem'), '--quic-version', version, '-o', out
    ])
    moves.stop()
    relay.close()
    expect([code, stderr]).toEqual([0, ''])
    expect(createHash('sha256').update(readFileSync(out)).digest('hex'))
      .toBe(createHash('sha256').update(big).digest('hex'))
    expect(moves.moves).toBeGreaterThanOrEqual(3)
  }, 60_000)
})

describe('connection options on the command line', () => {
  it('ask for BBR and larger packets', async () => {
    const relay = await UdpRelay.start({ serverPort: port, seed: 2 })
    const out = join(dir, 'out-options.bin')
    const flags = ['--ca', join(dir, 'certs/ca.pem'), '-o', out]
    const url = [`https://localhost:${port}/big.bin`, '--connect', `127.0.0.1:${relay.port}`]
    expect((await quicgate(['fetch', ...url, ...flags, '--mtu-discovery', 'off'])).code).toBe(0)
    const usual = relay.toClient.passed
    expect((await quicgate(['fetch', ...url, ...flags, '--connection-options', 'TBBR,ACKD,MTUH'])).code).toBe(0)
    relay.close()
    // 1450 bytes a packet instead of 1350.
    expect(relay.toClient.passed - usual).toBeLessThan(0.97 * usual)
    expect(readFileSync(out).equals(big)).toBe(true)
  }, 60_000)
})
