/**
 * What programs record of their connections, and what the inspector makes of it.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { Chain, makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { toPcap } from '../helpers/pcap.js'
import { curl, freeUdpPort, Program, quicgate, stopAll } from '../helpers/programs.js'
import { checkQlogFile, type CheckedEvent } from '../helpers/qlog-schema.js'
import { Recorder } from '../helpers/udp-recorder.js'

let dir: string
let server: Program
let port: number

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'localhost')
  mkdirSync(join(dir, 'www'))
  writeFileSync(join(dir, 'www/big.bin'), Buffer.alloc(100_000, 'abc'))
  port = await freeUdpPort()
  const tls = ['--cert', join(dir, 'certs/cert.pem'), '--key', join(dir, 'certs/key.pem')]
  const record = ['--keylog', join(dir, 'server.keys'), '--qlog', join(dir, 'server-qlog')]
  const args = ['serve', '--listen', `127.0.0.1:${port}`, ...tls, '--root', join(dir, 'www'), ...record]
  server = await Program.start(args, /^serving /m)
}, 120_000)

afterAll(async () => {
  await stopAll()
  removeScratch(dir)
})

function tracesIn(directory: string): { name: string; events: CheckedEvent[] }[] {
  return readdirSync(directory).map((name) => ({
    name,
    events: checkQlogFile(readFileSync(join(directory, name), 'utf8')).events
  }))
}

const fetchArgs = (to: number): string[] => [
  'fetch', 'https://localhost/big.bin', '--connect', `127.0.0.1:${to}`, '--ca', join(dir, 'certs/ca.pem')
]

describe('mechanism: key log and traces between processes', () => {
  it.each(supportedVersions.map(({ label }) => label))('%s: keys of either side decrypt a capture', async (version) => {
    const recorder = await Recorder.start(port)
    const keys = join(dir, `${version}.keys`)
    const traces = join(dir, `${version}-qlog`)
    const flags = ['--quic-version', version, '--keylog', keys, '--qlog', traces, '-o', join(dir, 'out')]
    const fetched = await quicgate([...fetchArgs(recorder.port), ...flags])
    recorder.close()
    expect(fetched.code, fetched.stderr).toBe(0)
    expect(statSync(keys).mode & 0o777).toBe(0o600)
    const file = join(dir, `${version}.pcap`)
    writeFileSync(file, toPcap(recorder.datagrams))

    for (const keyFile of [keys, join(dir, 'server.keys')]) {
      const inspected = await quicgate(['inspect', '--json', '--keys', keyFile, '--', file])
      expect(inspected.code, inspected.stderr).toBe(0)
      const report = JSON.parse(inspected.stdout.toString()) as Record<string, unknown>
      expect(report).toMatchObject({
        datagrams: recorder.datagrams.length,
        undecryptable: 0,
        connections: [{ version, responses: [{ status: 200, bodyLength: 100_000 }] }]
      })
    }
    const [trace] = tracesIn(traces)
    expect(trace!.name).toMatch(/^[0-9a-f]{16}_client\.sqlog$/)
    const count = (name: string): number => trace!.events.filter((event) => event.name === name).length
    expect(count('transport:packet_received')).toBeGreaterThan(70)
    expect(count('security:key_updated')).toBeGreaterThanOrEqual(4)
    expect(count('connectivity:connection_closed')).toBe(1)
  }, 60_000)

  it('without keys the hellos can be read all the same', async () => {
    const file = join(dir, `${supportedVersions[0]!.label}.pcap`)
    const { code, stdout } = await quicgate(['inspect', '--packets', '--port', '4433', file])
    expect(code).toBe(0)
    for (const word of ['CHLO', 'REJ', 'SCFG', 'AEAD: ']) expect(stdout.toString()).toContain(word)
  })

  it('the server traced every connection, to the end', async () => {
    expect(await server.stop('SIGINT')).toBe(0)
    const traces = tracesIn(join(dir, 'server-qlog'))
    expect(traces).toHaveLength(supportedVersions.length)
    for (const { name, events } of traces) {
      expect(name).toMatch(/_server\.sqlog$/)
      expect(events.at(-1)).toMatchObject({ data: { new: 'closed' } })
    }
  })

  it.each([
    ['--keylog', '/nowhere/keys', '/nowhere/keys does not exist'],
    ['--qlog', '/dev/null/traces', '/dev/null']
  ])('%s %s is refused in words', async (flag, value, words) => {
    const { code, stderr } = await quicgate([...fetchArgs(port), flag, value])
    expect([code, stderr]).toEqual([2, expect.stringContaining(words)])
    expect(stderr).not.toContain('bug')
  })

  it('inspect names the line of a key file that is none', async () => {
    const file = join(dir, `${supportedVersions[0]!.label}.pcap`)
    writeFileSync(join(dir, 'bad.keys'), 'CLIENT_RANDOM 00 11\n')
    const { code, stderr } = await quicgate(['inspect', file, '--keys', join(dir, 'bad.keys')])
    expect([code, stderr]).toEqual([2, expect.stringContaining('bad.keys line 1')])
  })
})

describe('mechanism: traces of trouble alone', () => {
  it('trace trouble alone where their configuration says so', async () => {
    const gatewayYaml = 'keylog: gateway.keys\nqlog: { dir: gateway-qlog, when: trouble }\n'
    const traces = join(dir, 'forward-qlog')
    const chain = await Chain.start({ listenerYaml: gatewayYaml, forwardFlags: ['--qlog', traces] })
    try {
      const { code } = await curl('--fail', `${chain.url}/`)
      expect(code).toBe(0)
      // Nobody is there who would finish this handshake.
      const args = ['fetch', 'https://other.example/', '--connect', `127.0.0.1:${chain.gatewayPort}`]
      const refused = await quicgate([...args, '--ca', join(chain.certificates, 'ca.pem')])
      expect(refused.code).toBe(1)
      expect(await chain.forwarder.stop('SIGINT')).toBe(0)
      expect(await chain.gateway.stop('SIGINT')).toBe(0)
      expect(tracesIn(traces)).toHaveLength(1)
      expect(readFileSync(join(chain.directory, 'gateway.keys'), 'utf8').split('\n')).toHaveLength(3)
      const [trouble, ...rest] = tracesIn(join(chain.directory, 'gateway-qlog'))
      expect(rest).toEqual([])
      expect(trouble!.events.at(-1)).toMatchObject({
        name: 'gquic:trouble',
        data: { message: 'QUIC_PROOF_INVALID before the handshake was done' }
      })
    } finally {
      await chain.stop()
    }
  }, 60_000)
})
