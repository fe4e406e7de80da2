import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NodeEngine } from '../../../src/endpoint/engines/node-engine.js'
import { loadSecrets } from '../../../src/gateway/secrets.js'

let dir: string
let warnings: string[]
const engine = new NodeEngine()
const load = (state: string | undefined = dir): ReturnType<typeof loadSecrets> => loadSecrets(
  state,
  engine,
  (text) => warnings.push(text)
)

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'quicgate-secrets-')), 'state')
  warnings = []
})

afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }))

describe('secrets', () => {
  it('are the same after a restart, private, and leave nothing else behind', () => {
    const first = load()
    const second = load()
    expect(Buffer.from(second.serverConfig.bytes)).toEqual(Buffer.from(first.serverConfig.bytes))
    expect(Buffer.from(second.tokenSecret)).toEqual(Buffer.from(first.tokenSecret))
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(readdirSync(dir).sort()).toEqual(['server-config.json', 'token-secret'])
    for (const name of readdirSync(dir)) expect(statSync(join(dir, name)).mode & 0o777).toBe(0o600)
    expect(warnings).toEqual([])
  })

  it('without a directory last for the process', () => {
    const first = loadSecrets(undefined, engine, () => undefined)
    const second = loadSecrets(undefined, engine, () => undefined)
    expect(Buffer.from(second.tokenSecret)).not.toEqual(Buffer.from(first.tokenSecret))
  })

  it('that are damaged are replaced, with a warning', () => {
    const first = load()
    writeFileSync(join(dir, 'server-config.json'), '{"scfg":"00"}')
    writeFileSync(join(dir, 'token-secret'), 'short')
    const second = load()
    expect(warnings).toHaveLength(2)
    expect(warnings[0]).toMatch(/server-config\.json: .*made a new server config/)
    expect(warnings[1]).toMatch(/token-secret: not 32 bytes long/)
    expect(second.tokenSecret).toHaveLength(32)
    expect(Buffer.from(second.serverConfig.bytes)).not.toEqual(Buffer.from(first.serverConfig.bytes))
    expect(JSON.parse(readFileSync(join(dir, 'server-config.json'), 'utf8'))).toEqual(second.serverConfig.serialize())
  })

  it('for other ciphers than the engine prefers are replaced', () => {
    load()
    const other = {
      ...engine,
      aeadProvider: { ...engine.aeadProvider, preference: [...engine.aeadProvider.preference].reverse() }
    }
    loadSecrets(dir, other as unknown as NodeEngine, (text) => warnings.push(text))
    expect(warnings[0]).toMatch(/other ciphers/)
  })
})
