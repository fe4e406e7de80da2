/**
 * A person's mistakes: one message that names the flag or the place, what was expected and what to do; exit code 2; no
 * stack.
 */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createSocket } from 'node:dgram'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { quicgate } from '../helpers/programs.js'

let dir: string

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'))
  await makeCertificates(join(dir, 'others'))
  mkdirSync(join(dir, 'www'))
  writeFileSync(join(dir, 'not-pem'), 'hello')
  const typo = 'listen: 127.0.0.1:0\ngateway:\n  url: https://g.example\n  conect: 127.0.0.1:1\n'
  writeFileSync(join(dir, 'typo.yaml'), typo)
}, 120_000)

afterAll(() => removeScratch(dir))

/** Arguments, in which `{}` stands for the scratch directory, and what the message has to say. */
const mistakes: [string, RegExp][] = [
  ['', /Usage: quicgate/],
  ['--nonsense', /unknown option '--nonsense'[^]*--help/],
  ['forwrad', /unknown command 'forwrad'[^]*Did you mean forward\?/],
  ['forward', /nowhere to forward to: give --to https:\/\//],
  ['forward --too https://x', /unknown option '--too'[^]*Did you mean --to\?/],
  ['forward --to http://gateway.example', /--to <url>' argument 'http:\/\/gateway.example' is invalid[^]*https URL/],
  ['forward --to https://g.example --listen 8080', /--listen <address>' argument '8080' is invalid[^]*HOST:PORT/],
  ['forward --to https://g.example --connect 1.2.3.4', /--connect <address>' argument '1.2.3.4'[^]*HOST:PORT/],
  ['forward --to https://g.example --quic-version Q001', /--quic-version <list>' argument 'Q001' is invalid[^]*Q036/],
  ['forward --to https://g.example --insecure --ca x', /'--insecure' cannot be used with option '--ca/],
  ['forward --to https://g.example --ca {}/nowhere.pem', /nowhere\.pem does not exist/],
  ['forward --to https://g.example --ca {}/not-pem', /not-pem.*no certificate.*BEGIN CERTIFICATE/],
  ['forward --config {}/nowhere.yaml', /nowhere\.yaml: cannot read the forwarder configuration: no such file/],
  ['forward --config {}/typo.yaml', /typo\.yaml:4:3: .*conect.*connect/],
  ['forward extra --to https://g.example', /too many arguments/],
  ['gateway --config {}/nowhere.yaml', /nowhere\.yaml/],
  ['gateway --quic-version Q001', /--quic-version <list>' argument 'Q001' is invalid[^]*Q036/],
  ['serve --cert {}/certs/cert.pem --key {}/certs/key.pem', /required option '--root <dir>' not specified/],
  ['serve --cert {}/none.pem --key {}/certs/key.pem --root {}/www', /--cert .*none\.pem does not exist: .*PEM/],
  ['serve --cert {}/not-pem --key {}/certs/key.pem --root {}/www', /PEM/],
  ['serve --cert {}/certs/cert.pem --key {}/others/key.pem --root {}/www', /key does not (fit|belong)|does not fit/i],
  ['serve --cert {}/certs/cert.pem --key {}/certs/key.pem --root {}/nowhere', /nowhere does not exist/],
  ['serve --cert {}/certs/cert.pem --key {}/certs/key.pem --root {}/not-pem', /not-pem is not a directory/],
  ['serve --recorded --files --cert a --key b --root c', /'--recorded' cannot be used with option '--files'/],
  ['serve --engine fast --cert a --key b --root c', /--engine <engine>' argument 'fast' is invalid[^]*auto, native, node/],
  ['fetch', /missing required argument 'url'/],
  ['fetch gateway.example', /'gateway.example' is invalid for argument 'url'[^]*https URL/],
  ['fetch https://a.example --parallel 0', /--parallel <n>' argument '0' is invalid[^]*from 1 to 1000/],
  ['fetch https://a.example --timeout soon', /--timeout <time>' argument 'soon' is invalid[^]*10s/],
  ['fetch https://a.example -H nonsense', /--header <header>' argument 'nonsense' is invalid[^]*name: value/],
  ['fetch https://a.example --data @{}/none', /--data @.*none': the file does not exist/],
  ['fetch https://a.example --method G(T', /--method <method>' argument 'G\(T' is invalid[^]*GET/],
  ['fetch https://a.example https://b.example -o {}/x', /-o .*with several URLs an existing directory/],
  ['fetch https://a.example/x https://b.example/x -o {}/www', /two of the URLs/],
  ['inspect {}/nowhere', /nowhere/],
  ['cert --days none', /--days <n>' argument 'none' is invalid/],
  ['sample-upstream --listen here', /--listen <address>' argument 'here' is invalid/],
  ['demo --port 70000', /--port <port>' argument '70000' is invalid[^]*65535/]
]

async function refused(args: string[]): Promise<string> {
  const { code, stdout, stderr } = await quicgate(args, { cwd: dir })
  expect(code, stderr).toBe(2)
  expect(stderr).not.toMatch(/^\s+at /m)
  expect(stderr).not.toMatch(/\bbug\b/)
  expect(stdout.toString()).toBe('')
  return stderr
}

describe('mistakes', () => {
  it.each(mistakes)('quicgate %s', async (line, message) => {
    const args = line === '' ? [] : line.split(' ').map((word) => word.replace('{}', dir))
    expect(await refused(args)).toMatch(message)
  })

  it('a TCP port in use', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const message = new RegExp(`${address.replaceAll('.', '\\.')} is in use.*another address or port`)
    expect(await refused(['forward', '--to', 'https://g.example', '--listen', address])).toMatch(message)
    expect(await refused(['sample-upstream', '--listen', address])).toMatch(message)
    const port = String((server.address() as AddressInfo).port)
    expect(await refused(['demo', '--port', port])).toMatch(/in use.*choose another with --port/)
    server.close()
  })

  it('a UDP port in use', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const address = `127.0.0.1:${socket.address().port}`
    const tls = ['--cert', join(dir, 'certs/cert.pem'), '--key', join(dir, 'certs/key.pem')]
    const message = await refused(['serve', '--listen', address, ...tls, '--root', join(dir, 'www')])
    expect(message).toContain(`${address} is in use`)
    socket.close()
  })
})

describe('an engine that cannot be had', () => {
  const environment = async (value: string, args: string[]): Promise<string> => {
    const { code, stderr } = await quicgate(args, { cwd: dir, env: { QUICGATE_ENGINE: value } })
    expect(code).toBe(2)
    expect(stderr).not.toMatch(/^\s+at /m)
    return stderr
  }

  it('is refused with the place that asks for it and with what there is', async () => {
    const message = await environment('fast', ['fetch', 'https://a.example', '--connect', '127.0.0.1:9'])
    expect(message).toContain('QUICGATE_ENGINE: expected one of auto, native, node, not "fast"')
    writeFileSync(join(dir, 'engine.yaml'), 'listen: 127.0.0.1:0\ngateway:\n  url: https://g.example\nengine: fast\n')
    expect(await refused(['forward', '--config', 'engine.yaml'])).toMatch(/engine\.yaml:4:9: .*native/)
  })
})

describe('help and version', () => {
  it('are no mistakes', async () => {
    const help = await quicgate(['--help'])
    expect(help.code).toBe(0)
    for (const command of ['gateway', 'forward', 'serve', 'fetch', 'inspect', 'cert', 'sample-upstream', 'demo']) {
      expect(help.stdout.toString()).toContain(`  ${command} `)
      expect((await quicgate([command, '--help'])).code).toBe(0)
    }
    expect((await quicgate(['--version'])).stdout.toString()).toMatch(/^\d+\.\d+\.\d+\n$/)
    for (const args of [['--version', '--verbose'], ['--verbose', '-V']]) {
      const { code, stdout } = await quicgate(args, { env: { QUICGATE_ENGINE: 'node' } })
      expect(code).toBe(0)
      expect(stdout.toString()).toMatch(/^engine: node \(QUICGATE_ENGINE asks for it\)$/m)
      expect(stdout.toString()).toMatch(/^AEADs, fastest first: AESG, CC20$/m)
    }
  }, 60_000)
})
