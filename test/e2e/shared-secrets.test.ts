/**
 * Gateways as real processes that share server configs and token secrets: what one has given a client, the others take.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { freeUdpPort, Program, quicgate, stopAll } from '../helpers/programs.js'

const name = 'www.example.com'
let dir: string
let mounted: string | undefined

interface Running {
  readonly program: Program
  readonly port: number
  readonly admin: string
}

/** A gateway whose secrets are in `state`. */
async function gateway(file: string, state: string): Promise<Running> {
  const port = await freeUdpPort()
  const config = join(dir, file)
  writeFileSync(
    config,
    `listeners:\n  - address: 127.0.0.1:${port}\n    certificates:\n      - cert: certs/cert.pem\n        key: certs/key.pem\n` +
      `routes: routes.yaml\nstateDir: ${state}\nhandshake:\n  earlyDataAtStart: accept\n` +
      'admin: { listen: "127.0.0.1:0" }\nlog: { level: debug }\n'
  )
  const program = await Program.start(['gateway', '--config', config], /listening for QUIC/)
  const [admin] = await program.waitFor(/http:\/\/127\.0\.0\.1:\d+/)
  return { program, port, admin }
}

/** What a gateway counted of handshakes, by their outcome and by the reasons of its rejections. */
async function counted({ admin }: Running): Promise<Record<string, number>> {
  const text = await (await globalThis.fetch(`${admin}/metrics`)).text()
  const lines = text.matchAll(/^quicgate_(?:handshakes|handshake_rejections|early_data_rejected)_total(?:\{.*"(\w+)"\})? (\d+)$/gm)
  return Object.fromEntries([...lines].filter(([, , count]) => count !== '0').map(([, label, count]) => [label, Number(count)]))
}

interface Told {
  status: number
  handshake: { hellos: number; earlyData: string; rejections: string[][] }
}

async function fetchJson({ port }: Running, ...flags: string[]): Promise<Told> {
  const trust = ['--ca', join(dir, 'certs/ca.pem'), '--session-cache', join(dir, 'sessions.json')]
  const url = `https://${name}/`
  const { stdout, stderr } = await quicgate(['fetch', url, '--connect', `127.0.0.1:${port}`, '--json', ...trust, ...flags])
  expect(stderr).toBe('')
  return JSON.parse(stdout.toString()) as Told
}

/**
 * Makes a directory read-only, as a mounted secret is: by its mode, or for root, whom no mode stops, by a mount.
 * @returns whether this system lets us
 */
function makeReadOnly(directory: string): boolean {
  if (process.getuid?.() !== 0) {
    chmodSync(directory, 0o500)
    return true
  }
  try {
    execFileSync('mount', ['--bind', '-o', 'ro', directory, directory], { stdio: 'ignore' })
    mounted = directory
    return true
  } catch {
    return false
  }
}

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), name)
  const program = await Program.start(['sample-upstream', '--listen', '127.0.0.1:0'], /http:\/\/[^/]+\//)
  const [upstream] = /http:\/\/[^/]+/.exec(program.stdout)!
  writeFileSync(join(dir, 'routes.yaml'), `routes:\n  - name: all\n    upstreams:\n      - ${upstream}\n`)
}, 120_000)

afterAll(async () => {
  await stopAll()
  if (mounted !== undefined) execFileSync('umount', [mounted])
  removeScratch(dir)
})

const accepted = { status: 200, handshake: { hellos: 1, earlyData: 'accepted', rejections: [] } }

/** Ends a gateway that had nothing to complain about; what became of the requests that came ahead, by connection. */
async function outcomes({ program }: Running): Promise<unknown[]> {
  await program.stop()
  expect(program.log.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([])
  return program.log.filter(({ msg }) => msg === 'connection closed').map(({ earlyData }) => earlyData)
}

describe('mechanism: shared secrets between processes', () => {
  it('let a client of one gateway begin at the other without a rejection, both ways', async () => {
    // Both begin at the same time with nothing: one makes the secrets, the other takes them.
    const [a, b] = await Promise.all([gateway('a.yaml', 'shared'), gateway('b.yaml', 'shared')])
    expect(readdirSync(join(dir, 'shared'))).toEqual(['secrets.json'])
    expect(statSync(join(dir, 'shared/secrets.json')).mode & 0o777).toBe(0o600)

    expect(await fetchJson(a)).toMatchObject({ status: 200, handshake: { hellos: 2, earlyData: 'none' } })
    expect(await counted(a)).toEqual({ full: 1, SERVER_CONFIG_INCHOATE_HELLO_FAILURE: 1 })
    expect(await fetchJson(b, '--data', 'x'.repeat(20_000))).toMatchObject(accepted)
    expect(await counted(b)).toEqual({ '0rtt': 1 })
    // With the token that the other one gave.
    expect(await fetchJson(a, '--data', 'y'.repeat(20_000))).toMatchObject(accepted)
    expect(await counted(a)).toEqual({ full: 1, SERVER_CONFIG_INCHOATE_HELLO_FAILURE: 1, '0rtt': 1 })
    expect([await outcomes(a), await outcomes(b)]).toEqual([['none', 'accepted'], ['accepted']])
  }, 60_000)

  it('that are mounted read-only do as well', async ({ skip }) => {
    const secrets = readFileSync(join(dir, 'shared/secrets.json'))
    if (!makeReadOnly(join(dir, 'shared'))) skip('this system lets nobody mount')
    expect(() => writeFileSync(join(dir, 'shared/secrets.lock'), '')).toThrow(/EROFS|EACCES/)
    const reader = await gateway('c.yaml', 'shared')
    expect(await fetchJson(reader, '--data', 'z'.repeat(20_000))).toMatchObject(accepted)
    expect(await counted(reader)).toEqual({ '0rtt': 1 })
    expect(await outcomes(reader)).toEqual(['accepted'])
    expect(readFileSync(join(dir, 'shared/secrets.json'))).toEqual(secrets)
  }, 60_000)
})
