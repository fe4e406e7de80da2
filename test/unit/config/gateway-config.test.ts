import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import Ajv2020 from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { loadGatewayConfig } from '../../../src/config/gateway-config.js'
import type { GatewayConfig } from '../../../src/config/gateway-config.js'
import { gatewayJsonSchema, routeFileJsonSchema } from '../../../src/config/json-schema.js'
import { supportedVersions } from '../../../src/quic/wire/versions/registry.js'
import { certificateOne, certificateTwo } from '../../helpers/static-certificates.js'

let root: string
const certificates = {
  'cert.pem': certificateOne.cert,
  'key.pem': certificateOne.key,
  'other-key.pem': certificateTwo.key,
  'junk.pem': 'junk\n'
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quicgate-config-'))
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

let counter = 0

/** Writes files into a fresh directory beside the certificates and gives its path. */
function lay(files: Record<string, string>): string {
  const dir = join(root, String(counter++))
  for (const [name, text] of Object.entries({ ...certificates, ...files })) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}

const listeners = 'listeners:\n  - address: 127.0.0.1:4433\n    certificates: [{ cert: cert.pem, key: key.pem }]\n'
const route = (name: string, match = '', rest = ''): string =>
  `  - name: ${name}\n${match === '' ? '' : `    match: ${match}\n`}${rest}    upstreams: [http://127.0.0.1:9000]\n`
const good = { 'g.yaml': listeners, 'routes/a.yaml': `routes:\n${route('all')}` }

function load(files: Record<string, string>, environment: NodeJS.ProcessEnv = {}): GatewayConfig {
  return loadGatewayConfig(join(lay(files), 'g.yaml'), environment)
}

function problems(files: Record<string, string>, environment: NodeJS.ProcessEnv = {}): string[] {
  const dir = lay(files)
  try {
    loadGatewayConfig(join(dir, 'g.yaml'), environment)
  } catch (error) {
    expect((error as { code: string }).code).toBe('CONFIG_INVALID')
    return (error as Error).message.replaceAll(`${dir}/`, '').replaceAll(dir, 'DIR').split('\n')
  }
  return []
}

describe('a good configuration', () => {
  it('says how connections begin, with timestamps for each certificate', () => {
    const withSct = listeners.replace('key: key.pem }', 'key: key.pem, sct: list.sct }')
    const config = load({ ...good, 'g.yaml': `${withSct}handshake: { rotateEvery: 1h, earlyData: never }\n`, 'list.sct': 'sct' })
    expect(Buffer.from(config.listeners[0].certificates[0].key.timestamps!).toString()).toBe('sct')
    expect(config.handshake).toEqual({
      rotateEvery: 3_600_000,
      acceptFor: 7 * 86_400_000,
      earlyData: 'never',
      earlyDataWindow: 600_000,
      earlyDataEntries: 65_536,
      earlyDataAtStart: 'wait',
      statelessRejects: true,
      channelIds: false,
      servingRegion: ''
    })
    expect(problems({ ...good, 'g.yaml': withSct })).toEqual([
      expect.stringMatching(/^g\.yaml:3:\d+: cannot read certificate timestamps .*list\.sct: .*leave sct out$/) as string
    ])
    expect(problems({ ...good, 'g.yaml': `${listeners}handshake: { earlyData: twice }\n` })[0]).toMatch(/^g\.yaml:4:\d+: /)
    expect(config.commonCertificates).toBeUndefined()
  })

  it('names the certificates that clients have as well', () => {
    const common = (value: string): Record<string, string> => ({
      ...good,
      'g.yaml': `${listeners}handshake: { commonCertificates: ${value} }\n`
    })
    const pem = readFileSync(join(lay({}), 'cert.pem'), 'utf8')
    const config = load({ ...common('[cert.pem, sets]'), 'sets/b.pem': pem, 'sets/a.crt': pem, 'sets/notes.txt': 'no set' })
    expect(config.commonCertificates!.sets).toHaveLength(3)
    expect(config.commonCertificates!.sets[0].certificates).toHaveLength(1)
    const wrong: [string, RegExp][] = [
      ['missing', /^g\.yaml:4:34: common certificates missing cannot be read \(ENOENT\): name a PEM file/],
      ['empty', /^g\.yaml:4:34: common certificates empty: the directory holds no \.pem or \.crt file/],
      ['junk.pem', /^g\.yaml:4:34: common certificates junk\.pem: no certificate/]
    ]
    for (const [value, message] of wrong) {
      expect(problems({ ...common(value), 'empty/notes.txt': 'no set' })).toEqual([expect.stringMatching(message) as string])
    }
  })

  it('is loaded with its defaults', () => {
    const config = load(good)
    expect(config.listeners[0].address).toEqual({ host: '127.0.0.1', port: 4433 })
    expect(config.listeners[0].versions).toEqual(supportedVersions)
    expect(config).toMatchObject({
      name: 'quicgate',
      underscoreHeaders: 'refuse',
      drainTimeout: 10_000,
      stateDir: undefined
    })
    expect(config.routes[0]).toMatchObject({
      name: 'all',
      hostHeader: 'preserve',
      upstreams: [{ url: 'http://127.0.0.1:9000' }]
    })
  })

  it('takes timeouts from the route, then the gateway, then the built-in ones', () => {
    const config = load({
      'g.yaml': `${listeners}upstreams: { timeouts: { connect: 1s, idle: 2s } }\n`,
      'routes/a.yaml': `routes:\n${route('all', '', '    timeouts: { idle: 3s }\n')}`
    })
    expect(config.routes[0].timeouts).toEqual({ queue: 10_000, connect: 1000, firstByte: 60_000, idle: 3000 })
  })

  it('substitutes the environment, in route files as well', () => {
    const config = load(
      {
        'g.yaml': `${listeners}drainTimeout: \${DRAIN}\n`,
        'routes/a.yaml': 'routes: [{ name: a, upstreams: ["${UP:-http://h:1}"] }]'
      },
      { DRAIN: '2s' }
    )
    expect(config.drainTimeout).toBe(2000)
    expect(config.routes[0].upstreams[0].url).toBe('http://h:1')
  })

  it('is what the repository ships as an example', () => {
    const dir = lay({
      'config/gateway.yaml': readFileSync('config/gateway.yaml', 'utf8'),
      'routes/sample.yaml': readFileSync('routes/sample.yaml', 'utf8')
    })
    const config = loadGatewayConfig(join(dir, 'config/gateway.yaml'), { QUICGATE_CERTIFICATES: dir })
    expect(config.entries.map((entry) => entry.route.name)).toEqual(['demo', 'sample'])
    expect(config.listeners[0].address.host).toBe('127.0.0.1')
  })
})

describe('a mistake', () => {
  it.each<[string, () => Record<string, string>, string[]]>([
    ['no such file', () => ({}), ['g.yaml: cannot read the configuration: no such file; name an existing YAML file']],
    ['a certificate that is not there', () => ({ ...good, 'g.yaml': listeners.replace('cert.pem', 'none/c.pem') }), [
      'g.yaml:3:28: cannot read certificate none/c.pem: no such file; name a PEM file, or make one for development: quicgate cert --dir none'
    ]],
    ['a certificate that is none', () => ({
      ...good,
      'g.yaml': listeners.replace('cert: cert.pem', 'cert: junk.pem')
    }), [
      expect.stringMatching(/^g\.yaml:3:28: junk\.pem: \S/) as unknown as string
    ]],
    ['a key of another certificate', () => ({
      ...good,
      'g.yaml': listeners.replace('key: key.pem', 'key: other-key.pem')
    }), [
      expect.stringMatching(/^g\.yaml:3:43: other-key\.pem: .*key/) as unknown as string
    ]],
    ['an address given twice', () => ({ ...good, 'g.yaml': listeners + listeners.slice(11) }), [
      'g.yaml:4:14: listeners[1].address: listeners[0] has the same address; remove one of them'
    ]],
    ['no route file', () => ({ 'g.yaml': listeners }), [
      "g.yaml:1:1: routes: cannot read directory routes: no such directory; put route files there or correct the pattern"
    ]],
    ['a pattern that no file matches', () => ({ ...good, 'g.yaml': `${listeners}routes: [routes/*.yml]\n` }), [
      'g.yaml:4:10: routes: no file matches routes/*.yml; put a route file there or correct the pattern'
    ]],
    ['a version that does not exist', () => ({ ...good, 'g.yaml': `${listeners}    versions: [Q036, Q35]\n` }), [
      'g.yaml:4:22: listeners[0].versions[1]: "Q35" is not allowed here; did you mean "Q035"?'
    ]],
    ['a network that is none', () => ({
      ...good,
      'g.yaml': `${listeners}forwarded: { trustedProxies: [10.0.0.0/33] }\n`
    }), [
      'g.yaml:4:31: forwarded.trustedProxies[0]: "10.0.0.0/33" is not a network; write 10.0.0.0/8, fd00::/8 or one address'
    ]],
    ['a pattern with a star in the middle', () => ({
      ...good,
      'routes/a.yaml': `routes:\n${route('a', '{ pathPattern: /a/*/b }')}`
    }), [
      'routes/a.yaml:3:27: routes[0].match.pathPattern: "*" must be the last segment of "/a/*/b"'
    ]],
    ['a broken regular expression', () => ({
      ...good,
      'routes/a.yaml': `routes:\n${route('a', "{ pathPattern: '/a/:id([0-9)' }")}`
    }), [
      expect.stringMatching(
        /^routes\/a\.yaml:3:27: routes\[0\]\.match\.pathPattern: broken regular expression "\[0-9": /
      ) as unknown as string
    ]],
    ['a broken header expression', () => ({
      ...good,
      'routes/a.yaml': `routes:\n${route('a', "{ headers: { x-a: { regex: '(' } } }")}`
    }), [
      expect.stringMatching(
        /^routes\/a\.yaml:3:39: routes\[0\]\.match\.headers\.x-a\.regex: broken regular expression "\(": /
      ) as unknown as string
    ]],
    ['a path without slash', () => ({ ...good, 'routes/a.yaml': `routes:\n${route('a', '{ path: a }')}` }), [
      'routes/a.yaml:3:20: routes[0].match.path: a path begins with "/": write "/a"'
    ]],
    ['a method in lower case', () => ({ ...good, 'routes/a.yaml': `routes:\n${route('a', '{ methods: [get] }')}` }), [
      'routes/a.yaml:3:24: routes[0].match.methods[0]: methods are case-sensitive: write GET'
    ]],
    ['an upstream with a path', () => ({
      ...good,
      'routes/a.yaml': 'routes:\n  - name: a\n    upstreams: [http://h/x]\n'
    }), [
      'routes/a.yaml:3:17: routes[0].upstreams[0]: an upstream is a scheme, a host and a port: write http://h; for a path use rewrite.addPrefix, for credentials requestHeaders.set'
    ]],
    ['a header that the gateway manages', () => ({
      ...good,
      'routes/a.yaml': `routes:\n${route('a', '', '    requestHeaders: { set: { Host: x } }\n')}`
    }), [
      'routes/a.yaml:3:30: routes[0].requestHeaders.set.Host: "host" is set by the gateway itself; see hostHeader'
    ]],
    ['an unknown parameter in a rewrite', () => ({
      ...good,
      'routes/a.yaml': `routes:\n${route('a', '{ pathPattern: /u/:id }', '    rewrite: { to: "/x/{idd}" }\n')}`
    }), [
      'routes/a.yaml:4:20: routes[0].rewrite.to: {idd} is not a parameter of every path of the route; its paths have id'
    ]],
    ['a name given twice, over files', () => ({
      ...good,
      'routes/b.yaml': `routes:\n${route('all', '{ path: /b }')}`
    }), [
      'routes/b.yaml:2:11: the name "all" is taken by the route at routes/a.yaml:2; choose another'
    ]],
    ['a route that another one shadows', () => ({ ...good, 'routes/b.yaml': `routes:\n${route('late')}` }), [
      'routes/b.yaml:2:5: route "late" can never match: "all" (routes/a.yaml:2) takes every request it would; make its match narrower, put it first, or remove it'
    ]],
    ['mistakes in several files, all at once', () => ({
      'g.yaml': listeners.replace('key: key.pem', 'key: none.pem'),
      'routes/a.yaml': `routes:\n${route('a')}    upstream: x\n`,
      'routes/b.yaml': 'routes:\n  - name: b b\n    upstreams: []\n'
    }), [
      'g.yaml:3:43: cannot read private key none.pem: no such file; name a PEM file, or make one for development: quicgate cert --dir DIR',
      'routes/a.yaml:4:5: unknown key "upstream" in routes[0]; did you mean "upstreams"?',
      'routes/b.yaml:2:11: routes[0].name: a name is made of letters, digits, ".", "_" and "-", not the text "b b"',
      'routes/b.yaml:3:16: routes[0].upstreams: expected at least 1 entry'
    ]]
  ])('is told with its place: %s', (_, files, expected) => {
    expect(problems(files())).toEqual(expected)
  })
})

describe('the JSON schemas', () => {
  const ajv = new Ajv2020.default({ strict: false })

  it('accept the shipped examples and refuse unknown keys', () => {
    const gateway = ajv.compile(gatewayJsonSchema())
    const routes = ajv.compile(routeFileJsonSchema())
    const file = parse(readFileSync('config/gateway.yaml', 'utf8')) as object
    expect(gateway(file), JSON.stringify(gateway.errors)).toBe(true)
    expect(gateway({ ...file, listener: [] })).toBe(false)
    expect(routes(parse(readFileSync('routes/sample.yaml', 'utf8'))), JSON.stringify(routes.errors)).toBe(true)
    expect(routes({ routes: [{ name: 'a' }] })).toBe(false)
  })
})
