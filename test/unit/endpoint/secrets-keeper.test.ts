import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SecretsKeeper } from '../../../src/endpoint/secrets-keeper.js'
import { rotateSecrets, tokenSecretsAt, type ServerSecrets } from '../../../src/endpoint/server-secrets.js'
import { systemHelper } from '../../../src/endpoint/system.js'
import type { AeadName } from '../../../src/quic/crypto/protection.js'
import { ServerConfigs } from '../../../src/quic/handshake/server/server-config.js'
import { SecretSourceAddressTokens } from '../../../src/quic/handshake/server/source-address-token.js'

const HOUR = 3600
const DAY = 24 * HOUR
const start = 1_800_000_000
let parent: string
let dir: string
let warnings: string[]
let now: number

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'quicgate-secrets-'))
  dir = join(parent, 'state')
  warnings = []
  now = start
})

afterEach(() => rmSync(parent, { recursive: true, force: true }))

function keep(directory: string | undefined = dir, aeads: AeadName[] = ['AESG', 'CC20']): SecretsKeeper {
  return new SecretsKeeper({ directory, aeads, onWarning: (message) => warnings.push(message), wallSeconds: () => now })
}

const ids = ({ configs }: ServerSecrets): string[] => configs.map(({ id }) => Buffer.from(id).toString('hex'))
const secretsOf = (keeper: SecretsKeeper): string[] =>
  tokenSecretsAt(keeper.current, now).map((secret) => Buffer.from(secret).toString('hex'))

describe('mechanism: server config rotation', () => {
  const ingredients = { random: systemHelper.randomBytes, aeads: ['AESG'] as const }
  const policy = { rotateEvery: DAY, acceptFor: 7 * DAY, lead: 600 }

  it('makes a successor ahead of its turn, keeps what it succeeds for as long as clients may come with it', () => {
    let secrets = rotateSecrets(undefined, start, policy, ingredients)
    const first = secrets.configs[0]!
    expect([first.primaryFrom, first.expirySeconds]).toEqual([start, start + 8 * DAY])
    const served = new ServerConfigs(first)
    expect(rotateSecrets(secrets, start + DAY - 601, policy, ingredients)).toBe(secrets)
    secrets = rotateSecrets(secrets, start + DAY - 600, policy, ingredients)
    expect(secrets.configs).toHaveLength(2)
    const second = secrets.configs[1]!
    expect([second.primaryFrom, second.expirySeconds]).toEqual([start + DAY, start + 9 * DAY])
    expect(served.use(secrets.configs, start + DAY - 600)).toBe(false)
    expect(served.primary).toBe(first)
    expect(served.use(secrets.configs, start + DAY)).toBe(true)
    expect(served.primary).toBe(second)
    expect(served.lookup(first.id)).toBe(first)
    for (let at = start + DAY; at <= start + 8 * DAY; at += 300) secrets = rotateSecrets(secrets, at, policy, ingredients)
    expect(secrets.configs).toContain(first)
    secrets = rotateSecrets(secrets, start + 8 * DAY + 1, policy, ingredients)
    expect(secrets.configs).not.toContain(first)
    expect(secrets.configs.length).toBe(9 - 1)
  })

  it('after a long sleep begins anew', () => {
    const old = rotateSecrets(undefined, start, policy, ingredients)
    const secrets = rotateSecrets(old, start + 100 * DAY, policy, ingredients)
    expect(secrets.configs).toHaveLength(1)
    expect(secrets.configs[0]!.primaryFrom).toBe(start + 100 * DAY)
    expect(secrets.resetSecret).toBe(old.resetSecret)
  })

  it('lets token secrets succeed one another without a token becoming invalid before its day is over', () => {
    let secrets = rotateSecrets(undefined, start, policy, ingredients)
    const tokens = new SecretSourceAddressTokens(tokenSecretsAt(secrets, start), systemHelper.randomBytes)
    const issued: { token: Uint8Array; at: number }[] = []
    for (let at = start; at < start + 5 * DAY; at += HOUR / 2) {
      secrets = rotateSecrets(secrets, at, policy, ingredients)
      tokens.setSecrets(tokenSecretsAt(secrets, at))
      issued.push({ token: tokens.issue('192.0.2.1', at), at })
      for (const { token, at: then } of issued) {
        if (at - then <= DAY) expect(tokens.check(token, '192.0.2.1', at)).toBeUndefined()
      }
    }
    expect(secrets.tokenSecrets.length).toBeLessThanOrEqual(4)
    expect(tokens.check(issued[0]!.token, '192.0.2.1', start + DAY)).toBeDefined()
  })
})

describe('secrets in a directory', () => {
  it('are the same after a restart, private, and leave nothing else behind', () => {
    const first = keep().current
    const second = keep().current
    expect(ids(second)).toEqual(ids(first))
    expect(second.configs[0]!.fresh).toBe(false)
    expect(first.configs[0]!.fresh).toBe(true)
    expect(Buffer.from(second.resetSecret)).toEqual(Buffer.from(first.resetSecret))
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(readdirSync(dir)).toEqual(['secrets.json'])
    expect(statSync(join(dir, 'secrets.json')).mode & 0o777).toBe(0o600)
    expect(warnings).toEqual([])
  })

  it('without a directory last for the process, and are succeeded all the same', () => {
    const memory = new SecretsKeeper({ aeads: ['AESG'], onWarning: () => {}, wallSeconds: () => now })
    const before = ids(memory.current)
    expect(ids(memory.refresh())).toEqual(before)
    now += DAY
    expect(ids(memory.refresh())).toHaveLength(2)
    expect(ids(memory.current)[0]).toBe(before[0])
  })

  it('are shared: what one makes the others have before its turn comes', () => {
    const [a, b] = [keep(), keep()]
    expect(ids(a.current)).toEqual(ids(b.current))
    expect(secretsOf(a)).toEqual(secretsOf(b))
    for (let days = 0; days < 20 * 24; days++) {
      now += HOUR
      const order = days % 2 === 0 ? [a, b] : [b, a]
      for (const keeper of order) keeper.refresh()
      expect(ids(a.current)).toEqual(ids(b.current))
      expect(secretsOf(a)).toEqual(secretsOf(b))
    }
    expect(ids(keep().current)).toEqual(ids(a.current))
    expect(warnings).toEqual([])
  })

  it('stay the same objects while they are the same configs', () => {
    const keeper = keep()
    const [config] = keeper.current.configs
    keep()
    expect(keeper.refresh().configs[0]).toBe(config)
  })

  it('that are damaged are replaced at the start, with a warning', () => {
    const first = keep().current
    const file = join(dir, 'secrets.json')
    const good = readFileSync(file, 'utf8')
    const damages: [string, RegExp][] = [
      ['{', /JSON/],
      ['{}', /it is no file of secrets/],
      [good.replace(/"scfg": "5343/, '"scfg": "4343'), /no SCFG/],
      [good.replace(/"secret": "./, '"secret": "'), /tokenSecrets is damaged/],
      [good.replace(/"resetSecret": "[^"]*"/, '"resetSecret": 1'), /resetSecret is damaged/],
      [good.replace(/"tokenSecrets": \[[^\]]*\]/, '"tokenSecrets": []'), /holds no tokenSecrets/]
    ]
    for (const [text, reason] of damages) {
      writeFileSync(file, text)
      warnings = []
      const second = keep().current
      expect(warnings).toEqual([expect.stringMatching(/secrets\.json: .*; made new secrets, clients will do one full/) as string])
      expect(warnings[0]).toMatch(reason)
      expect(ids(second)).not.toEqual(ids(first))
      expect(ids(keep().current)).toEqual(ids(second))
    }
  })

  it('that become damaged later leave the ones that are in use as they are', () => {
    const keeper = keep()
    const before = ids(keeper.current)
    writeFileSync(join(dir, 'secrets.json'), '{}')
    expect(ids(keeper.refresh())).toEqual(before)
    expect(ids(keeper.refresh())).toEqual(before)
    expect(warnings).toEqual([expect.stringMatching(/going on with the secrets that were there before/) as string])
  })

  it('for other ciphers than this machine prefers get a successor at once, and stay good', () => {
    const [old] = ids(keep().current)
    const { configs } = keep(dir, ['CC20', 'AESG']).current
    expect(configs.map(({ aeads }) => aeads.join())).toEqual(['AESG,CC20', 'CC20,AESG'])
    expect(Buffer.from(configs[0]!.id).toString('hex')).toBe(old)
    expect(configs[1]!.primaryFrom).toBe(now)
  })

  it('are not held up by a lock whose holder died', () => {
    const keeper = keep()
    const lock = join(dir, 'secrets.lock')
    writeFileSync(lock, '')
    now += DAY
    expect(ids(keeper.refresh())).toHaveLength(1)
    const long = Date.now() / 1000 - 60
    utimesSync(lock, long, long)
    expect(ids(keeper.refresh())).toHaveLength(2)
    expect(readdirSync(dir)).toEqual(['secrets.json'])
  })

  it.skipIf(process.getuid?.() === 0)('that cannot be written are only read', () => {
    const before = ids(keep().current)
    chmodSync(dir, 0o500)
    const keeper = keep()
    expect(ids(keeper.current)).toEqual(before)
    now += DAY
    expect(ids(keeper.refresh())).toEqual(before)
    expect(warnings).toEqual([expect.stringMatching(/cannot be written .*new secrets have to come from somebody else/) as string])
    chmodSync(dir, 0o700)
    expect(ids(keep().current)).toHaveLength(2)
    expect(ids(keeper.refresh())).toHaveLength(2)
  })

  it('fail with the reason where there is no place for them', () => {
    writeFileSync(dir, '')
    expect(() => keep()).toThrow(/EEXIST|ENOTDIR/)
  })
})
