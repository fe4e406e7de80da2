/**
 * The two tools of the reference program, as real processes.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { mainFile } from '../helpers/build.js'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { freeUdpPort, newestVersion, Program, quicgate, stopAll } from '../helpers/programs.js'
import type { Finished } from '../helpers/programs.js'
import { Recorder } from '../helpers/udp-recorder.js'

const big = Buffer.alloc(5_000_000)
for (let i = 0; i < big.length; i++) big[i] = (i * 7 + (i >> 9)) & 0xff

let dir: string
let tls: string[]
let trust: string[]
let port: number
let server: Program

async function serve(root: string, ...flags: string[]): Promise<{ program: Program; port: number }> {
  const free = await freeUdpPort()
  const args = ['serve', '--listen', `127.0.0.1:${free}`, ...tls, '--root', root, ...flags]
  return { program: await Program.start(args, /^serving /m), port: free }
}

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'localhost', 'www.example.com')
  tls = ['--cert', join(dir, 'certs/cert.pem'), '--key', join(dir, 'certs/key.pem')]
  trust = ['--ca', join(dir, 'certs/ca.pem')]
  const www = join(dir, 'www')
  mkdirSync(join(www, 'sub'), { recursive: true })
  writeFileSync(join(www, 'hello.txt'), 'hello, world\n')
  writeFileSync(join(www, 'empty.txt'), '')
  writeFileSync(join(www, 'big.bin'), big)
  writeFileSync(join(www, 'sub/index.html'), '<h1>sub</h1>')
  writeFileSync(join(dir, 'secret.txt'), 'secret')
  ;({ program: server, port } = await serve(www))
}, 120_000)

afterAll(async () => {
  await server?.stop()
  await stopAll()
  removeScratch(dir)
})

/** Fetches from a server on this machine, whatever the name in the URL. */
function fetchFrom(at: number, urls: string[], ...flags: string[]): Promise<Finished> {
  return quicgate(['fetch', ...urls, '--connect', `127.0.0.1:${at}`, ...flags])
}

function fetch(paths: string[], ...flags: string[]): Promise<Finished> {
  return fetchFrom(port, paths.map((path) => `https://localhost:${port}${path}`), ...trust, ...flags)
}

interface JsonLine {
  url: string
  version: string
  status: number
  headers: [string, string][]
  trailers: [string, string][]
  bodyLength: number
  sha256: string
  path: Record<string, number>
  timings: Record<string, number>
  error?: { type: string; code: string; message: string }
}

function jsonLines({ stdout }: Finished): JsonLine[] {
  return stdout.toString().trim().split('\n').map((line) => JSON.parse(line) as JsonLine)
}

describe('fetch', () => {
  it('prints the body', async () => {
    const { code, stdout, stderr } = await fetch(['/hello.txt'])
    expect([code, stdout.toString(), stderr]).toEqual([0, 'hello, world\n', ''])
  })

  it('prints status and headers first with -i', async () => {
    const { stdout } = await fetch(['/hello.txt'], '-i')
    expect(stdout.toString()).toMatch(/^QUIC\/Q\d{3} 200\r\ncontent-type: text\/plain; charset=utf-8\r\n/)
    expect(stdout.toString()).toMatch(/\r\n\r\nhello, world\n$/)
  })

  it('describes each URL as JSON', async () => {
    const [first, second] = jsonLines(await fetch(['/big.bin', '/empty.txt'], '--json'))
    expect(first).toMatchObject({ version: newestVersion, status: 200, bodyLength: big.length, trailers: [] })
    expect(first!.sha256).toBe(createHash('sha256').update(big).digest('hex'))
    expect(Object.keys(first!.timings)).toEqual(['connect', 'handshake', 'firstByte', 'total'])
    expect(first!.timings['total']).toBeGreaterThan(first!.timings['firstByte']!)
    expect(second).toMatchObject({ status: 200, bodyLength: 0 })
    expect(second!.path['packetsReceived']).toBeGreaterThan(big.length / 1450)
    expect(second!.path['packetsSent']).toBeGreaterThan(0)
    expect(second!.path['rtt']).toBeGreaterThan(0)
  })

  it.each(supportedVersions.map(({ label }) => label))('speaks %s when asked to', async (version) => {
    const [line] = jsonLines(await fetch(['/hello.txt'], '--json', '--quic-version', version))
    expect(line).toMatchObject({ version, status: 200 })
  })

  it('keeps the order of bodies, however many are under way', async () => {
    const paths = ['/big.bin', '/hello.txt', '/big.bin', '/hello.txt']
    const { stdout, code } = await fetch(paths, '--parallel', '4')
    const hello = Buffer.from('hello, world\n')
    expect(code).toBe(0)
    expect(stdout.equals(Buffer.concat([big, hello, big, hello]))).toBe(true)
  })

  it('fetches more URLs than streams are allowed', async () => {
    const lines = jsonLines(await fetch(Array<string>(150).fill('/hello.txt'), '--parallel', '150', '--json'))
    expect(lines).toHaveLength(150)
    expect(lines.every((line) => line.status === 200 && line.bodyLength === 13)).toBe(true)
  }, 60_000)

  it.each([
    [[], 1450],
    [['--mtu-discovery', 'low'], 1430],
    [['--mtu-discovery', 'off'], 1350]
  ])('gets larger packets where the path carries them: %j', async (flags, largest) => {
    const recorder = await Recorder.start(port)
    const urls = [`https://localhost:${port}/big.bin`]
    const { code, stderr } = await fetchFrom(recorder.port, urls, ...trust, '-o', join(dir, 'larger'), ...flags)
    recorder.close()
    expect(code, stderr).toBe(0)
    expect(readFileSync(join(dir, 'larger')).equals(big)).toBe(true)
    expect(Math.max(...recorder.datagrams.map(({ bytes }) => bytes.length))).toBe(largest)
  })

  it('writes files', async () => {
    const out = join(dir, 'out')
    mkdirSync(out)
    expect((await fetch(['/big.bin', '/sub/'], '-o', out)).code).toBe(0)
    expect(readFileSync(join(out, 'big.bin')).equals(big)).toBe(true)
    expect(readFileSync(join(out, 'sub'), 'utf8')).toBe('<h1>sub</h1>')
    expect((await fetch(['/empty.txt'], '-o', join(out, 'one'))).code).toBe(0)
    expect(statSync(join(out, 'one')).size).toBe(0)
  })

  it('does not write into a directory that is not there', async () => {
    const { code, stderr } = await fetch(['/hello.txt'], '-o', join(dir, 'no/where'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/no\/where does not exist/)
    expect(existsSync(join(dir, 'no'))).toBe(false)
  })

  it('exits with 1 for answers of 400 and above, and for failures', async () => {
    const missing = await fetch(['/hello.txt', '/missing'])
    expect([missing.code, missing.stdout.toString()]).toEqual([1, 'hello, world\nfile not found'])
    const nobody = await freeUdpPort()
    const refused = await fetchFrom(nobody, ['https://localhost/'], ...trust)
    expect(refused.code).toBe(1)
    const words = /^quicgate fetch: https:\/\/localhost\/: nothing listens on UDP 127\.0\.0\.1:\d+: check/
    expect(refused.stderr).toMatch(words)
    const untrusted = await fetchFrom(port, ['https://localhost/hello.txt'], '--json')
    expect(untrusted.code).toBe(1)
    expect(jsonLines(untrusted)[0]!.error).toMatchObject({ type: 'tls_certificate_error', code: 'QUIC_PROOF_INVALID' })
  })

  it('warns loudly with --insecure', async () => {
    const { code, stdout, stderr } = await fetchFrom(port, ['https://wrong.example/hello.txt'], '--insecure')
    expect([code, stdout.toString()]).toEqual([0, 'hello, world\n'])
    expect(stderr).toMatch(/^warning: --insecure/)
  })

  it('ends quietly when its reader goes away', async () => {
    const args = `https://localhost/big.bin --connect 127.0.0.1:${port} --ca "${trust[1]}"`
    const command = `"${process.execPath}" "${mainFile}" fetch ${args} | head -c 1000 | wc -c`
    const child = spawn('sh', ['-c', command])
    let output = ''
    let errors = ''
    child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()))
    child.stderr.on('data', (bytes: Buffer) => (errors += bytes.toString()))
    await new Promise((resolve) => child.on('close', resolve))
    expect(output.trim()).toBe('1000')
    expect(errors).toBe('')
  })

  it('gives up in time', async () => {
    const silent = await fetch(['/hello.txt'], '--timeout', '1ms')
    expect(silent.code).toBe(1)
    expect(silent.stderr).toMatch(/did not answer completely within 0\.001 s: give it more time with --timeout/)
  })
})

describe('serve', () => {
  it('answers HEAD, ranges and conditions', async () => {
    const [head] = jsonLines(await fetch(['/big.bin'], '--method', 'HEAD', '--json'))
    expect(head).toMatchObject({ status: 200, bodyLength: 0 })
    const fields = new Map(head!.headers)
    expect(fields.get('content-length')).toBe(String(big.length))
    const [unchanged] = jsonLines(await fetch(['/big.bin'], '--json', '-H', `if-none-match: ${fields.get('etag')}`))
    expect(unchanged).toMatchObject({ status: 304, bodyLength: 0 })
    const { stdout } = await fetch(['/big.bin'], '-H', 'range: bytes=1000000-1000099')
    expect(stdout.equals(big.subarray(1_000_000, 1_000_100))).toBe(true)
  })

  it.each([
    ['/sub/', 200],
    ['/sub', 301],
    ['/', 404],
    ['/missing', 404],
    ['/%2e%2e/secret.txt', 404],
    ['/..%2fsecret.txt', 404]
  ])('GET %s: %i', async (path, status) => {
    // As it stands: URL would resolve the dots before they are sent.
    const [line] = jsonLines(await fetch([path], '--json'))
    expect(line!.status).toBe(status)
  })

  it('takes GET and HEAD only, without waiting for the body', async () => {
    const { code, stdout } = await fetch(['/hello.txt'], '-i', '--data', `@${join(dir, 'www/big.bin')}`)
    expect(code).toBe(1)
    expect(stdout.toString()).toMatch(/^QUIC\/Q\d{3} 405\r\nallow: GET, HEAD\r\n/)
  })

  it('tells about requests, and ends with 0', async () => {
    const other = await serve(join(dir, 'www'))
    await fetchFrom(other.port, [`https://localhost:${other.port}/hello.txt`], ...trust)
    await other.program.waitFor(/^Q\d{3} 200 13 GET localhost:\d+\/hello\.txt$/m)
    expect(await other.program.stop('SIGINT')).toBe(0)
  })
})

describe('serve, recorded responses', () => {
  it('answers as the reference does', async () => {
    const root = join(dir, 'recorded')
    mkdirSync(join(root, 'www.example.com/deep'), { recursive: true })
    const index = 'HTTP/1.1 200 OK\nContent-Type: text/html\nConnection: close\nX-Two: 1\n\n<p>recorded'
    writeFileSync(join(root, 'www.example.com/index.html'), index)
    const moved = 'HTTP/1.1 301 Moved\nLocation: /x\nX-Original-Url: https://www.example.com/old?a=b\n\n'
    writeFileSync(join(root, 'www.example.com/deep/moved'), moved)
    const recorded = await serve(root)
    expect(recorded.program.stdout).toContain('serving 2 recorded responses')
    // The answer from its status on.
    const get = async (path: string, ...flags: string[]): Promise<string> => {
      const url = `https://www.example.com${path}`
      const { stdout } = await fetchFrom(recorded.port, [url], '-i', ...trust, ...flags)
      return stdout.toString().replace(/^QUIC\/Q\d{3} /, '')
    }
    expect(await get('/index.html')).toBe('200\r\ncontent-type: text/html\r\nx-two: 1\r\n\r\n<p>recorded')
    expect(await get('/old?a=b')).toMatch(/^301\r\nlocation: \/x\r\n/)
    expect(await get('/nothing')).toBe('404\r\ncontent-length: 14\r\n\r\nfile not found')
    expect(await get('/index.html', '--data', 'abc')).toContain('<p>recorded')
    const wrong = await get('/index.html', '--data', 'abc', '-H', 'content-length: 2')
    expect(wrong).toBe('500\r\ncontent-length: 3\r\n\r\nbad')
    await recorded.program.stop()
  }, 60_000)
})
