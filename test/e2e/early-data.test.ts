/**
 * Requests that go with the first packets, gateways that share their secrets, and clients told to come back: as real
 * processes.
 */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { freeUdpPort, Program, quicgate, stopAll } from '../helpers/programs.js'
import type { Finished } from '../helpers/programs.js'

const name = 'www.example.com'
let dir: string
let upstream: string

interface Running {
  program: Program
  port: number
}

/** A gateway with its secrets in `state`, on a port of its own. */
async function gateway(file: string, state: string, port?: number, more = ''): Promise<Running> {
  const at = port ?? (await freeUdpPort())
  const config = join(dir, file)
  writeFileSync(
    config,
    `listeners:\n  - address: 127.0.0.1:${at}\n    certificates:\n      - cert: certs/cert.pem\n        key: certs/key.pem\n` +
      `routes: routes.yaml\nstateDir: ${state}\nhandshake:\n  earlyDataAtStart: accept\n${more}log: { level: debug }\n`
  )
  return { program: await Program.start(['gateway', '--config', config], /listening for QUIC/), port: at }
}

interface JsonLine {
  status: number
  sha256: string
  handshake: { hellos: number; earlyData: string; rejections: string[][]; connectionId: string }
}

function fetch({ port }: Running, path: string, ...flags: string[]): Promise<Finished> {
  const trust = ['--ca', join(dir, 'certs/ca.pem')]
  return quicgate(['fetch', `https://${name}${path}`, '--connect', `127.0.0.1:${port}`, ...trust, ...flags])
}

async function fetchJson(from: Running, path: string, ...flags: string[]): Promise<JsonLine> {
  const { stdout, stderr } = await fetch(from, path, '--json', ...flags)
  expect(stderr).toBe('')
  return JSON.parse(stdout.toString()) as JsonLine
}

const cache = (): string[] => ['--session-cache', join(dir, 'sessions.json')]

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), name)
  const program = await Program.start(['sample-upstream', '--listen', '127.0.0.1:0'], /http:\/\/[^/]+\//)
  upstream = /http:\/\/[^/]+/.exec(program.stdout)![0]
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'routes.yaml'), `routes:\n  - name: all\n    upstreams:\n      - ${upstream}\n`)
}, 120_000)

afterAll(async () => {
  await stopAll()
  removeScratch(dir)
})

describe('mechanism: 0-RTT between processes', () => {
  it('works with every gateway that shares the secrets, over restarts of both ends, and with none other', async () => {
    const a = await gateway('a.yaml', 'shared')
    const first = await fetchJson(a, '/', ...cache())
    expect(first).toMatchObject({ status: 200, handshake: { hellos: 2, earlyData: 'none' } })
    expect(first.handshake.rejections).toEqual([['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']])
    expect(statSync(join(dir, 'sessions.json')).mode & 0o777).toBe(0o600)

    const accepted = { status: 200, handshake: { hellos: 1, earlyData: 'accepted', rejections: [] } }
    expect(await fetchJson(a, '/', ...cache())).toMatchObject(accepted)
    const b = await gateway('b.yaml', 'shared')
    expect(await fetchJson(b, '/', ...cache(), '--data', 'x'.repeat(30_000))).toMatchObject(accepted)
    await a.program.stop()
    const again = await gateway('a.yaml', 'shared', a.port)
    expect(await fetchJson(again, '/', ...cache())).toMatchObject(accepted)

    const stranger = await gateway('c.yaml', 'own')
    expect(await fetchJson(stranger, '/', ...cache(), '--data', 'y'.repeat(30_000))).toMatchObject({
      status: 200,
      handshake: { hellos: 2, earlyData: 'rejected', rejections: [['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE']] }
    })
    await stranger.program.stop()
    const log = stranger.program.log.find(({ msg }) => msg === 'connection closed')
    expect(log).toMatchObject({ earlyData: 'rejected', rejections: [['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE']] })
  }, 60_000)

  it('goes on without a session cache that is damaged', async () => {
    const a = await gateway('d.yaml', 'd')
    writeFileSync(join(dir, 'damaged.json'), '{"format":')
    const { code, stderr } = await fetch(a, '/', '--session-cache', join(dir, 'damaged.json'))
    expect(code).toBe(0)
    expect(stderr).toMatch(/warning: session cache .*damaged\.json is no session cache, or is damaged/)
    expect(JSON.parse(readFileSync(join(dir, 'damaged.json'), 'utf8'))).toHaveProperty(['servers', `${name}:443`])
  }, 60_000)

  it('is used by the forwarder when the gateway comes back', async () => {
    const a = await gateway('e.yaml', 'e')
    const file = join(dir, 'forwarder-sessions.json')
    const flags = ['--to', `https://${name}`, '--connect', `127.0.0.1:${a.port}`, '--ca', join(dir, 'certs/ca.pem')]
    const start = (): Promise<Program> =>
      Program.start(['forward', '--listen', '127.0.0.1:0', ...flags, '--session-cache', file], /connected to the gateway/)
    const first = await start()
    await first.stop()
    const second = await start()
    const url = /listening on (http:\/\/[\d.]+:\d+)/.exec(second.stdout)![1]!
    const response = await globalThis.fetch(`${url}/`, { method: 'POST', body: 'z'.repeat(10_000) })
    expect(response.status).toBe(200)
    await second.stop()
    await a.program.stop()
    const closed = a.program.log.filter(({ msg }) => msg === 'connection closed')
    expect(closed.map(({ earlyData }) => earlyData)).toEqual(['none', 'accepted'])
    rmSync(file)
  }, 60_000)
})

describe('a handshake, told to a person', () => {
  it('shows version, certificate, rejections by name and what became of early requests', async () => {
    const a = await gateway('f.yaml', 'f')
    const file = ['--session-cache', join(dir, 'told.json')]
    const first = await fetch(a, '/', '-v', '--quic-version', 'Q043', ...file)
    expect(first.stderr).toMatch(/^\* connection [0-9a-f]{16}: Q043, (CC20|AESG), C255$/m)
    expect(first.stderr).toMatch(/^\* certificate: DNS:www\.example\.com.*, until \d{4}-\d\d-\d\d$/m)
    expect(first.stderr).toMatch(/^\* rejected: SERVER_CONFIG_INCHOATE_HELLO_FAILURE$/m)
    expect(first.stderr).toMatch(/^\* requests: sent when the server was known \(2 client hellos\)$/m)
    const second = await fetch(a, '/', '-v', '--quic-version', 'Q043', ...file)
    expect(second.stderr).toMatch(/^\* requests: sent with the first hello \(0-RTT\), accepted \(1 client hello\)$/m)
  }, 60_000)

  it('shows a stateless reject, which needs no connection', async () => {
    const a = await gateway('g.yaml', 'g')
    const told = await fetchJson(a, '/', '--connection-options', 'SREJ')
    expect(told).toMatchObject({
      status: 200,
      handshake: { hellos: 1, earlyData: 'none', rejections: [['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']] }
    })
    await a.program.stop()
    const opened = a.program.log.filter(({ msg }) => msg === 'connection opened')
    expect(opened.map(({ connection }) => connection)).toEqual([told.handshake.connectionId])
  }, 60_000)
})
