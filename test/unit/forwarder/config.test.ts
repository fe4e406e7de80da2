import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ConfigError } from '../../../src/config/config-error.js'
import { forwarderConfigFromFlags, loadForwarderConfig } from '../../../src/config/forwarder-schema.js'

let directory: string

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'quicgate-forwarder-'))
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function problems(yaml: string): string[] {
  const file = join(directory, 'forwarder.yaml')
  writeFileSync(file, yaml)
  try {
    loadForwarderConfig(file, {})
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as ConfigError).message.split('\n').map((line) => line.replace(file, 'f'))
  }
  return []
}

const good = 'listen: 127.0.0.1:8080\ngateway:\n  url: https://gateway.example:443\n'

describe('loadForwarderConfig', () => {
  it('takes what to ask of the transport, and says what cannot be asked', () => {
    const file = join(directory, 'transport.yaml')
    const transport = 'transport:\n  congestion: bbr\n  mtuDiscovery: low\n  connectionOptions: [TBBR, ACKD]\n'
    writeFileSync(file, good + transport)
    expect(loadForwarderConfig(file, {}).transport).toEqual({
      congestion: 'bbr',
      mtuDiscovery: 'low',
      connectionOptions: ['TBBR', 'ACKD']
    })
    const [problem] = problems(`${good}transport: { connectionOptions: [BBR] }\n`)
    expect(problem).toMatch(/^f:4:\d+: .*expected a tag of four characters such as TBBR or ACKD/)
    expect(problems(`${good}transport: { congestion: vegas }\n`)).toHaveLength(1)
  })

  it('fills in defaults, and finds files relative to the configuration', () => {
    const file = join(directory, 'ok.yaml')
    writeFileSync(file, `${good}  ca: certs/ca.pem\nauthority: preserve\n`)
    const config = loadForwarderConfig(file, {})
    expect(config).toMatchObject({
      listen: { host: '127.0.0.1', port: 8080 },
      authority: undefined,
      timeouts: { connect: 10_000, wait: 5_000, idle: 30_000, drain: 5_000 },
      backoff: { first: 200, longest: 30_000 },
      maxWaiting: 1024,
      transport: { mtuDiscovery: 'high' },
      log: { level: 'info', requests: true }
    })
    expect(config.gateway.ca).toEqual([join(directory, 'certs/ca.pem')])
    expect(config.gateway.url.host).toBe('gateway.example')
  })

  it('finds the session cache relative to the configuration, unless it is to be in memory', () => {
    const file = join(directory, 'cache.yaml')
    for (const [text, expected] of [['sessions.json', join(directory, 'sessions.json')], ['memory', 'memory']]) {
      writeFileSync(file, `${good}  sessionCache: ${text}\n`)
      expect(loadForwarderConfig(file, {}).gateway.sessionCache).toBe(expected)
    }
  })

  it('finds the Channel ID key and the common certificates relative to the configuration', () => {
    const file = join(directory, 'files.yaml')
    writeFileSync(file, `${good}  channelId: me.pem\n  commonCertificates: [sets, a.pem]\n`)
    expect(loadForwarderConfig(file, {}).gateway).toMatchObject({
      channelId: join(directory, 'me.pem'),
      commonCertificates: [join(directory, 'sets'), join(directory, 'a.pem')]
    })
  })

  it('has the same defaults for flags alone', () => {
    const file = join(directory, 'ok2.yaml')
    writeFileSync(file, good)
    const flags = { listen: { host: '127.0.0.1', port: 8080 }, to: new URL('https://gateway.example:443') }
    expect(forwarderConfigFromFlags(flags)).toEqual(loadForwarderConfig(file, {}))
  })

  it('reads the example of the quick start', () => {
    const config = loadForwarderConfig(new URL('../../../config/forwarder.yaml', import.meta.url).pathname, {})
    expect(config.gateway.url.href).toBe('https://127.0.0.1:4433/')
    const compose = loadForwarderConfig(new URL('../../../config/compose/forwarder.yaml', import.meta.url).pathname, {})
    expect(compose.listen.host).toBe('0.0.0.0')
  })

  it.each([
    [`${good}listn: x\n`, /^f:4:1: .*listn.*listen/],
    [good.replace('8080', '80800'), /^f:1:9: .*address/],
    [good.replace('https:', 'http:'), /^f:3:8: .*https URL/],
    [good.replace(':443', '/path'), /^f:3:8: .*path comes with each request/],
    [`${good}  versions: [Q999]\n`, /^f:4:14: .*Q036/],
    [`${good}  insecure: true\n  ca: x.pem\n`, /^f:4:3: .*ca has no effect/],
    [`${good}backoff: {first: 10s, longest: 1s}\n`, /^f:4:32: .*shorter/],
    [`${good}timeouts: {wait: 5}\n`, /^f:4:18: .*write 5s/],
    [`${good}authority: http://x/\n`, /^f:4:12: .*preserve/],
    ['listen: [\n', /^f:\d+:\d+: not valid YAML/]
  ])('%j', (yaml, message) => {
    expect(problems(yaml)).toEqual([expect.stringMatching(message)])
  })
})
