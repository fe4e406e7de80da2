/**
 * The quick start: one command, the curl line that it prints, and a clean end.
 */
import { mkdtempSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { removeScratch } from '../helpers/chain.js'
import { curl, freeTcpPort, newestVersion, Program, stopAll } from '../helpers/programs.js'

let dir: string

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'quicgate-demo-'))
})

afterAll(async () => {
  await stopAll()
  removeScratch(dir)
})

describe('quicgate demo', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('prints a curl line that works, and ends with 0 at %s', async (signal) => {
    const port = await freeTcpPort()
    const demo = await Program.start(['demo', '--port', String(port), '--dir', join(dir, 'state')], /Ctrl-C/)
    const lines = [...demo.stdout.matchAll(/^ +curl (.+)$/gm)].map((match) => match[1]!.split(' '))
    expect(lines).toHaveLength(3)
    for (const args of lines) {
      const { code, stdout } = await curl('-i', ...args)
      expect(code).toBe(0)
      expect(stdout.toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(stdout.toString()).toContain(`via: 1.1 quicgate, QUIC/${newestVersion} quicgate-forward`)
    }
    const ended = demo.stop(signal)
    // npm start passes on what a terminal has sent to the whole process group already.
    for (let i = 0; i < 20; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      void demo.stop(signal)
    }
    expect(await ended).toBe(0)
  }, 60_000)

  it('records both ends of its connection', async () => {
    const [keys, traces] = [join(dir, 'keys.jsonl'), join(dir, 'traces')]
    const port = await freeTcpPort()
    const flags = ['--port', String(port), '--dir', join(dir, 'state'), '--keylog', keys, '--qlog', traces]
    const demo = await Program.start(['demo', ...flags], /Ctrl-C/)
    expect((await curl(`http://127.0.0.1:${port}/`)).code).toBe(0)
    expect(await demo.stop('SIGINT')).toBe(0)
    const logged = readFileSync(keys, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as { perspective: string })
    expect(new Set(logged.map(({ perspective }) => perspective))).toEqual(new Set(['client', 'server']))
    expect(readdirSync(traces).map((name) => /_(\w+)\.sqlog$/.exec(name)![1]).sort()).toEqual(['client', 'server'])
  }, 60_000)

  it('keeps keys to its user', () => {
    const state = join(dir, 'state')
    expect(statSync(state).mode & 0o777).toBe(0o700)
    const keys = readdirSync(state).filter((name) => name.includes('key'))
    expect(keys.length).toBeGreaterThanOrEqual(2)
    for (const name of keys) expect(statSync(join(state, name)).mode & 0o777).toBe(0o600)
  })
})
