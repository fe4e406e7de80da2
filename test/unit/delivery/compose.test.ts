import { Ajv2020 } from 'ajv/dist/2020.js'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { cp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createDevelopmentCertificates } from '../../../src/config/development-certificates.js'
import { loadForwarderConfig } from '../../../src/config/forwarder-schema.js'
import { loadGatewayConfig } from '../../../src/config/gateway-config.js'
import { composeSchema } from '../../helpers/compose-schema.js'

interface Service {
  image: string
  command?: string[]
  entrypoint?: string[]
  ports?: string[]
  volumes?: string[]
  depends_on?: Record<string, { condition: string }>
  healthcheck?: { disable?: boolean; test?: string[] }
}

interface Compose {
  services: Record<string, Service>
  volumes: Record<string, null>
}

const read = (path: string): string => readFileSync(path, 'utf8')
const compose = parse(read('docker-compose.yml')) as Compose
const dockerfile = read('Dockerfile')

function problemsOf(document: unknown): string[] {
  const validate = new Ajv2020({ allErrors: true, strict: false }).compile(composeSchema)
  validate(document)
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

describe('docker-compose.yml', () => {
  it('follows the Compose Specification', () => {
    expect(problemsOf(compose)).toEqual([])
  })

  it('would be found out if it did not', () => {
    const broken = structuredClone(compose) as unknown as { services: Record<string, Record<string, unknown>> }
    broken.services['gateway']!['port'] = ['4433:4433/udp']
    broken.services['forwarder']!['healthcheck'] = { test: ['CMD', { node: 'x' }], intervall: '3s' }
    expect(problemsOf(broken)).toEqual(
      expect.arrayContaining([
        '/services/gateway must NOT have additional properties',
        '/services/forwarder/healthcheck must NOT have additional properties',
        '/services/forwarder/healthcheck/test/1 must be string'
      ])
    )
  })

  it('names only services, volumes and files that exist', () => {
    for (const service of Object.values(compose.services)) {
      for (const other of Object.keys(service.depends_on ?? {})) expect(compose.services).toHaveProperty(other)
      for (const volume of service.volumes ?? []) {
        const source = volume.split(':')[0]!
        if (source.startsWith('.')) expect(existsSync(source), source).toBe(true)
        else expect(compose.volumes).toHaveProperty(source)
      }
    }
  })

  it('gives every service that others wait for a health check, and mounts certificates and configuration read-only', () => {
    const { gateway, forwarder, 'sample-upstream': upstream } = compose.services
    // The gateway's own check is the image's.
    expect(dockerfile).toMatch(/^HEALTHCHECK /m)
    expect(gateway!.healthcheck).toBeUndefined()
    for (const service of [forwarder!, upstream!]) expect(service.healthcheck!.test![0]).toBe('CMD')
    for (const service of [gateway!, forwarder!]) {
      const mounts = service.volumes!.filter((volume) => /:\/(certificates|etc\/quicgate)/.test(volume))
      expect(mounts).toHaveLength(2)
      for (const mount of mounts) expect(mount).toMatch(/:ro$/)
    }
    // Only the gateway sees private keys.
    expect(forwarder!.volumes!.join()).not.toContain('certificates:/certificates')
  })

  it('publishes the ports that the programs listen on', () => {
    const listen = (file: string): string[] => [...read(file).matchAll(/0\.0\.0\.0:(\d+)/g)].map((found) => found[1]!)
    expect(listen('config/compose/gateway.yaml')).toEqual(['4433'])
    expect(compose.services['gateway']!.ports).toEqual(['4433:4433/udp'])
    expect(listen('config/compose/forwarder.yaml')).toEqual(['8080'])
    // The forwarder asks nobody who they are: it is for this machine alone.
    expect(compose.services['forwarder']!.ports).toEqual(['127.0.0.1:8080:8080/tcp'])
    expect(compose.services['sample-upstream']!.ports).toBeUndefined()
  })
})

describe('the configuration of docker-compose.yml', () => {
  let scratch: string

  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), 'quicgate-compose-'))
    await cp('config/compose', scratch, { recursive: true })
    const certificates = join(scratch, 'certificates')
    const command = compose.services['certificates']!.command!.join(' ')
    const hosts = [...command.matchAll(/--host (\S+)/g)].map((found) => found[1]!)
    expect(hosts).toContain('gateway')
    await createDevelopmentCertificates({ dir: certificates, hosts })
    for (const name of ['gateway.yaml', 'forwarder.yaml']) {
      const file = join(scratch, name)
      await writeFile(file, read(file).replaceAll(' /certificates/', ` ${certificates}/`))
    }
  })
  afterAll(() => rmSync(scratch, { recursive: true, force: true }))

  it('is accepted by the gateway and leads to the sample upstream', () => {
    const config = loadGatewayConfig(join(scratch, 'gateway.yaml'))
    expect(config.listeners.map(({ address }) => address)).toEqual([{ host: '0.0.0.0', port: 4433 }])
    expect(config.routes.map(({ upstreams }) => upstreams.map(({ url }) => url))).toEqual([
      ['http://sample-upstream:9000']
    ])
    expect(compose.services['sample-upstream']!.command).toContain('0.0.0.0:9000')
  })

  it('is accepted by the forwarder and leads to the gateway', () => {
    const config = loadForwarderConfig(join(scratch, 'forwarder.yaml'))
    expect(config.listen).toEqual({ host: '0.0.0.0', port: 8080 })
    expect(config.gateway.url.host).toBe('gateway:4433')
    expect(config.gateway.ca).toEqual([join(scratch, 'certificates', 'ca.pem')])
  })
})

describe('Dockerfile', () => {
  it('builds in a stage of its own and runs without root', () => {
    expect(dockerfile.match(/^FROM /gm)).toHaveLength(2)
    const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))
    expect(last).toMatch(/^USER node$/m)
    expect(last).not.toMatch(/npm (ci|install)/)
  })

  it('copies nothing that .dockerignore keeps out', () => {
    const kept = read('.dockerignore').split('\n').filter((line) => line.startsWith('!')).map((line) => line.slice(1))
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((found) => found[1]!.split(' '))
    expect(copied.length).toBeGreaterThan(5)
    for (const path of copied) expect(kept).toContain(path)
  })
})
