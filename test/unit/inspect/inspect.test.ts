import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { registerInspect } from '../../../src/cli/inspect.js'
import { CaptureError } from '../../../src/inspect/capture-error.js'
import { inspectCapture } from '../../../src/inspect/inspect-capture.js'
import { formatReport } from '../../../src/inspect/report-text.js'
import { StreamAssembler } from '../../../src/inspect/stream-assembler.js'
import { HpackEncoder } from '../../../src/quic/spdy/hpack/hpack-encoder.js'
import { writeHeadersFrames } from '../../../src/quic/spdy/http2-frames.js'
import { EncryptionLevel } from '../../../src/quic/types.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import type { ByteWriter } from '../../../src/quic/wire/bytes.js'
import { MessageTag, Tag } from '../../../src/quic/wire/tags.js'
import type { FrameCodec } from '../../../src/quic/wire/versions/version.js'
import { CaptureWriter } from '../../helpers/capture-writer.js'
import type { DatagramLine } from '../../helpers/capture-writer.js'
import { ackOf } from '../../helpers/frame-log.js'
import { caseDirectory } from '../../helpers/vectors.js'

const writers: CaptureWriter[] = []

function capture(label?: string): CaptureWriter {
  const writer = new CaptureWriter('0102030405060708', label)
  writers.push(writer)
  return writer
}

afterEach(() => {
  for (const writer of writers.splice(0)) writer.remove()
})

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const requestHeaders = [[':method', 'GET'], [':scheme', 'https'], [':authority', 'a.example'], [':path', '/x']] as const
const request = (): Uint8Array => writeHeadersFrames(5, new HpackEncoder().encode([...requestHeaders]), true, 3)
const response = (): Uint8Array =>
  writeHeadersFrames(5, new HpackEncoder().encode([[':status', '200']]), false, undefined)

async function failure(directory: string): Promise<CaptureError> {
  const error: unknown = await inspectCapture(directory).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(CaptureError)
  expect((error as CaptureError).message).not.toContain('\n')
  return error as CaptureError
}

describe('StreamAssembler', () => {
  it('hands every byte on once and in order, however it arrives', () => {
    const piece = fc.tuple(fc.nat(120), fc.nat(40))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), pieces => {
        const whole = Uint8Array.from({ length: 160 }, (_, i) => i)
        const got: number[] = []
        const assembler = new StreamAssembler(data => got.push(...data))
        const arrived = new Set<number>()
        for (const [offset, length] of pieces) {
          assembler.push(offset, whole.subarray(offset, offset + length))
          for (let i = offset; i < offset + length; i++) arrived.add(i)
          let end = 0
          while (arrived.has(end)) end++
          expect(assembler.length).toBe(end)
          expect(got).toEqual([...whole.subarray(0, end)])
        }
      })
    )
  })
})

describe('inspectCapture', () => {
  it('reports a request and the response up to the first gap', async () => {
    const body = Buffer.from('abcdefghij')
    const directory = capture()
      .stream('client', 3, 0, request())
      .stream('server', 3, 0, response())
      .stream('server', 5, 4, body.subarray(4, 6))
      .stream('server', 5, 0, body.subarray(0, 4))
      .stream('server', 5, 6, body.subarray(6, 8), { dropped: true })
      .stream('server', 5, 8, body.subarray(8))
      .write()
    const { report, dropped, problems } = await inspectCapture(directory)
    expect(problems).toEqual([])
    expect(dropped).toBe(1)
    expect(report).toEqual({
      case: 'made-up',
      datagrams: 6,
      undecryptable: 0,
      connections: [
        {
          conn: 0,
          connectionId: '0102030405060708',
          version: 'Q036',
          requests: [{ streamId: 5, headers: requestHeaders, bodyLength: 0, bodySha256: sha256(Buffer.alloc(0)) }],
          responses: [
            {
              streamId: 5,
              status: 200,
              headers: [[':status', '200']],
              bodyLength: 6,
              bodySha256: sha256(body.subarray(0, 6))
            }
          ]
        }
      ]
    })
  })

  it('knows a connection whose packets leave the id out', async () => {
    const directory = capture()
      .stream('client', 3, 0, request())
      .packet('server', (out, frames) => frames.writePing(out), { omitConnectionId: true })
      .write()
    const { report } = await inspectCapture(directory)
    expect(report.undecryptable).toBe(0)
    expect(report.connections).toHaveLength(1)
  })

  it('takes the version that the client names', async () => {
    const ping = { level: EncryptionLevel.None }
    const directory = capture('Q034').packet('client', (out, frames) => frames.writePing(out), ping).write()
    const { report } = await inspectCapture(directory)
    expect(report.connections[0]!.version).toBe('Q034')
  })

  it('counts what no key opens and goes on', async () => {
    const writer = capture().stream('client', 3, 0, request())
    writer.lines.push({ us: 5, from: 'server', conn: 0, hex: `08${writer.connectionId}01${'5a'.repeat(40)}` })
    writer.lines.push({ us: 6, from: 'server', conn: 0, hex: '' })
    const { report } = await inspectCapture(writer.stream('server', 3, 0, response()).write())
    expect(report.undecryptable).toBe(2)
    expect(report.connections[0]!.responses).toHaveLength(1)
  })

  it('names packets that violate the protocol and goes on', async () => {
    const directory = capture()
      .packet('client', out => out.uint8(0x09))
      .stream('client', 3, 0, Buffer.from('ffffff09000000000000', 'hex'))
      .stream('client', 1, 0, Buffer.from('43484c4fffff0000', 'hex'))
      .stream('server', 5, 0, Buffer.from('body without headers'))
      .write()
    const { report, problems } = await inspectCapture(directory)
    expect(problems).toHaveLength(3)
    expect(problems[0]).toContain('QUIC_INVALID_FRAME_DATA')
    expect(problems[1]).toContain('QUIC_INVALID_HEADERS_STREAM_DATA')
    expect(problems[2]).toContain('QUIC_CRYPTO_TOO_MANY_ENTRIES')
    expect(report.undecryptable).toBe(0)
    expect(report.connections[0]).toMatchObject({ requests: [], responses: [] })
  })

  it('reads bodies that forced head-of-line blocking puts on the headers stream', async () => {
    const frame = Buffer.concat([Buffer.from('000003000100000005', 'hex'), Buffer.from('abc')])
    const { report } = await inspectCapture(
      capture().stream('server', 3, 0, Buffer.concat([response(), frame])).write()
    )
    const found = report.connections[0]!.responses[0]
    expect(found).toMatchObject({ bodyLength: 3, bodySha256: sha256(Buffer.from('abc')) })
  })

  it('tells that trailers came, without :final-offset', async () => {
    const encoder = new HpackEncoder()
    const blocks = Buffer.concat([
      writeHeadersFrames(5, encoder.encode([[':status', '204']]), false, undefined),
      writeHeadersFrames(5, encoder.encode([[':final-offset', '0'], ['x-sum', '1']]), true, undefined)
    ])
    const { report } = await inspectCapture(capture().stream('server', 3, 0, blocks).write())
    expect(report.connections[0]!.responses[0]).toMatchObject({ status: 204, trailers: [['x-sum', '1']] })
  })

  it('does not believe what case.json expects', async () => {
    const expectation = { version: 'Q099', requests: [{ streamId: 9 }], responses: [], undecryptable: 7 }
    const { report } = await inspectCapture(capture().stream('client', 3, 0, request()).write(expectation))
    expect(report.undecryptable).toBe(0)
    expect(report.connections[0]!.requests[0]!.streamId).toBe(5)
  })

  it.each(['Q043', 'Q046'])('takes packets that name no version for %s if that is what makes sense', async label => {
    // Big-endian: read as little-endian, the frame would be longer than its packet.
    const writer = capture(label).stream('client', 3, 0, request()).stream('client', 3, request().length, request())
    const { report, problems } = await inspectCapture(writer.write())
    expect(problems).toEqual([])
    expect(report).toMatchObject({ undecryptable: 0, connections: [{ version: label }] })
    expect(report.connections[0]!.requests[0]!.headers).toEqual(requestHeaders)
  })

  it('reads all packets of a datagram, and handshake data of each level on its own', async () => {
    const crypto = (bytes: Uint8Array) => (out: ByteWriter, frames: FrameCodec) => {
      frames.writeCryptoHeader(out, 0, bytes.length)
      out.bytes(bytes)
    }
    const hello = (tag: number): Uint8Array => new HandshakeMessage(tag).set(Tag.SNI, Buffer.from('a')).serialize()
    const writer = capture('Q050')
    writer.packet('client', crypto(hello(MessageTag.CHLO)), { level: EncryptionLevel.None })
    writer.packet('client', (out, frames) => {
      crypto(hello(MessageTag.SCUP))(out, frames)
      frames.writePing(out)
      frames.writeStreamHeader(out, 1, 0, request().length, false, false)
      out.bytes(request())
    })
    const [first, second] = writer.lines.splice(0) as DatagramLine[]
    writer.lines.push({ ...first!, hex: first!.hex + second!.hex })
    const texts: string[] = []
    const { report, problems } = await inspectCapture(writer.write(), { onPacket: text => texts.push(text) })
    expect(problems).toEqual([])
    expect(report).toMatchObject({ datagrams: 1, undecryptable: 0 })
    expect(report.connections[0]!.requests[0]!.streamId).toBe(5)
    expect(texts[0]).toContain('CHLO SCUP PING')
    expect(texts[0]).toMatch(/PKN 1, obfuscated,.* PKN 2, forward secure/)
    expect(texts[0]).toContain('CRYPTO offset 0 length')
  })

  it('takes nothing of a foreign version for a known one, and finds the known one again', async () => {
    const writer = capture()
    writer.lines.push({ us: 0, from: 'client', conn: 0, hex: `0d${writer.connectionId}51303431010000` })
    writer.stream('server', 3, 0, response())
    expect((await failure(writer.write())).code).toBe('CAPTURE_VERSION_UNSUPPORTED')
    writer.packet('client', (out, frames) => frames.writePing(out), { level: EncryptionLevel.None })
    writer.stream('client', 3, 0, request())
    const { report, unsupportedVersions } = await inspectCapture(writer.write())
    expect(unsupportedVersions).toEqual(['Q041'])
    expect(report.undecryptable).toBe(2)
    expect(report.connections[0]!.requests).toHaveLength(1)
  })

  it.each([
    ['Q041', '0d010203040506070851303431010000'],
    ['Q049', 'c351303439080102030405060708000000000001'],
    ['T048', 'c35430343850010203040506070800000001']
  ])('refuses a capture of %s by name', async (label, hex) => {
    const writer = capture()
    writer.lines.push({ us: 0, from: 'client', conn: 0, hex })
    const error = await failure(writer.write())
    expect(error.code).toBe('CAPTURE_VERSION_UNSUPPORTED')
    expect(error.message).toContain(label)
    expect(error.message).toContain('Q036, Q035, Q034')
  })
})

describe('a damaged capture', () => {
  it('that is not there', async () => {
    expect((await failure('/nowhere/at/all')).message).toContain('/nowhere/at/all does not exist')
    const file = join(capture().directory, 'file')
    writeFileSync(file, '')
    expect((await failure(file)).message).toContain('neither pcap nor pcapng')
  })

  it('without its files', async () => {
    const { directory } = capture()
    expect((await failure(directory)).message).toContain('case.json does not exist')
    writeFileSync(join(directory, 'case.json'), '{}')
    const error = await failure(directory)
    expect(error.message).toContain('datagrams.jsonl.gz does not exist')
    expect(error.code).toBe('CAPTURE_UNREADABLE')
  })

  it('with a broken case.json', async () => {
    const writer = capture()
    const directory = writer.write()
    writeFileSync(join(directory, 'case.json'), '{"case": ')
    expect(await failure(directory)).toMatchObject({ code: 'CAPTURE_MALFORMED' })
    writeFileSync(join(directory, 'case.json'), '{"connections": [{"connectionId": "xyz"}]}')
    expect((await failure(directory)).message).toContain('at connections.0.connectionId: expected hexadecimal')
  })

  it('with keys that fit no AEAD', async () => {
    const short = { level: 'forwardSecure', clientKey: '0102', clientIv: '00000000' }
    const connection = { conn: 0, connectionId: '0102030405060708', aead: 'AESG', keys: [short] }
    const error = await failure(capture().stream('client', 3, 0, request()).write({ connections: [connection] }))
    expect(error.message).toMatch(/forwardSecure key of connection 0102030405060708: .*16 bytes/)
    const nameless = capture().stream('client', 3, 0, request()).write({ connections: [{ ...connection, aead: null }] })
    expect((await failure(nameless)).message).toContain('does not name its aead')
  })

  it('with a broken gzip file', async () => {
    const directory = capture().write()
    for (const bytes of [Buffer.from('no gzip'), Buffer.from('1f8b08000000000000ff01', 'hex')]) {
      writeFileSync(join(directory, 'datagrams.jsonl.gz'), bytes)
      expect((await failure(directory)).message).toContain('no intact gzip file')
    }
  })

  it.each([
    ['not JSON', '{"us": 1', 'line 2 is not JSON'],
    ['no object', 'null', 'line 2: expected {us, from'],
    ['no direction', '{"us":1,"from":"middle","conn":0,"hex":""}', 'line 2: expected {us, from'],
    ['odd digits', '{"us":1,"from":"client","conn":0,"hex":"abc"}', 'line 2: "hex"']
  ])('with a line that is %s', async (_name, line, expected) => {
    const writer = capture().stream('client', 3, 0, request())
    writer.lines.push(line)
    expect((await failure(writer.write())).message).toContain(expected)
  })
})

describe('packets as text', () => {
  async function packets(directory: string): Promise<string> {
    const texts: string[] = []
    await inspectCapture(directory, { onPacket: text => texts.push(text) })
    return texts.join('\n')
  }

  it('show frames and messages', async () => {
    const hello = new HandshakeMessage('CHLO').setText(Tag.SNI, 'a.example').set(Tag.STK, Buffer.alloc(60, 7))
    const directory = capture()
      .packet('client', (out, frames) => {
        const bytes = hello.serialize()
        frames.writeStreamHeader(out, 1, 0, bytes.length, false, true)
        out.bytes(bytes)
        frames.writePadding(out, 5)
      }, { level: EncryptionLevel.None })
      .packet('server', (out, frames) => {
        frames.writeAck(out, ackOf(9, 12, [[7, 9], [1, 1]]), 100)
        frames.writeStopWaiting(out, 1, 1, 1)
        frames.writeRstStream(out, 5, 6, 100)
        frames.writeWindowUpdate(out, 0, 65536)
        frames.writeBlocked(out, 5)
        frames.writePing(out)
        frames.writeGoAway(out, 16, 7, Buffer.from('bye'))
        frames.writeConnectionClose(out, 25, Buffer.from('idle'))
      })
      .stream('client', 3, 0, request())
      .stream('client', 5, 0, Buffer.from('late'), { dropped: true })
      .write()
    const text = await packets(directory)
    expect(text).toContain('    1    0.000000 client → server Q036')
    expect(text).toContain('CHLO PADDING, CID 0102030405060708, PKN 1, null')
    expect(text).toContain('            SNI: "a.example"')
    expect(text).toContain(`${'07'.repeat(32)}… (60 bytes)`)
    for (const line of [
      'STREAM 1 (crypto) offset 0 length', 'PADDING 5 bytes', 'ACK largest 9 delay 12 µs: 7-9 1',
      'STOP_WAITING least unacked 1', 'RST_STREAM 5 QUIC_STREAM_CANCELLED (6) final offset 100',
      'WINDOW_UPDATE connection to 65536', 'BLOCKED stream 5', 'PING',
      'GOAWAY QUIC_PEER_GOING_AWAY (16) last good stream 7 "bye"',
      'CONNECTION_CLOSE QUIC_NETWORK_IDLE_TIMEOUT (25) "idle"',
      'HEADERS stream 5 priority 3 END_STREAM', ':authority: a.example', 'not delivered'
    ]) {
      expect(text).toContain(line)
    }
  })

  it('show certificates by their subjects', async () => {
    const text = await packets(caseDirectory('chromium56-v36-get-1k'))
    expect(text).toContain('certificate 1: O=gQUIC test, CN=www.example.org')
  })

  it('show what has no protection', async () => {
    const negotiation = await packets(caseDirectory('chromium56-probe-vn'))
    expect(negotiation).toContain('undecryptable, version Q099 is not supported')
    expect(negotiation).toContain('versions: Q036 Q035 Q034 Q033 Q032')
    const reset = await packets(caseDirectory('chromium56-probe-public-reset'))
    expect(reset).toMatch(/Public Reset, CID 0102030405060708\n.*RNON: b5690f0000000000\n.*RSEQ: 5\n.*CADR: 127\.0/)
  })

  it('cannot steer a terminal', async () => {
    const evil = '\x1b[2J\x9b31m\r\n'
    const headers: [string, string][] = [[':method', 'GET'], [':path', evil], ['x', evil]]
    const bytes = writeHeadersFrames(5, new HpackEncoder().encode(headers), true, 3)
    const directory = capture().stream('client', 3, 0, bytes).write()
    const inspection = await inspectCapture(directory)
    for (const text of [await packets(directory), formatReport(inspection)]) {
      expect(text).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/)
    }
    expect(await packets(directory)).toContain('\\x1b[2J\\x9b31m')
  })
})

describe('quicgate inspect', () => {
  async function run(...args: string[]): Promise<{ out: string; err: string; exitCode: typeof process.exitCode }> {
    const written = { out: '', err: '' }
    const collect = (name: 'out' | 'err') => (text: string | Uint8Array) => {
      written[name] += text.toString()
      return true
    }
    vi.spyOn(process.stdout, 'write').mockImplementation(collect('out'))
    vi.spyOn(process.stderr, 'write').mockImplementation(collect('err'))
    const before = process.exitCode
    process.exitCode = undefined
    try {
      const program = new Command('quicgate')
      registerInspect(program)
      await program.parseAsync(['node', 'quicgate', 'inspect', ...args])
      return { ...written, exitCode: process.exitCode }
    } finally {
      process.exitCode = before
      vi.restoreAllMocks()
    }
  }

  it('prints a line of JSON for each directory', async () => {
    const names = ['chromium56-v36-get-1k', 'quicgo-2017-q036-parallel-10']
    const { out, err, exitCode } = await run('--json', ...names.map(caseDirectory))
    expect(err).toBe('')
    expect(exitCode).toBeUndefined()
    const reports = out.trimEnd().split('\n').map(line => JSON.parse(line) as Record<string, unknown>)
    expect(reports.map(report => report['case'])).toEqual(names)
    expect(Object.keys(reports[0]!)).toEqual(['case', 'datagrams', 'undecryptable', 'connections'])
  })

  it('prints a table for people', async () => {
    const { out } = await run(caseDirectory('chromium56-v36-push'))
    expect(out).toContain('chromium56-v36-push: 21 datagrams, 0 undecryptable')
    expect(out).toContain('connection d29d08a8058bdb2b (client socket 0), Q036')
    expect(out).toMatch(/5 │ GET https:\/\/www\.example\.org\/push\.html │ +0 │ +200 │ +1024 │ 6efaf9409ece…/)
    expect(out).toContain('(pushed)')
  })

  it('prints packets on request', async () => {
    const { out } = await run('--packets', caseDirectory('chromium56-v36-get-1k'))
    expect(out).toContain('client → server Q036  1350  CHLO')
    expect(out).toContain('chromium56-v36-get-1k: ')
  })

  it('reads the others when one directory is bad, says so in one line and exits with 2', async () => {
    const { out, err, exitCode } = await run('--json', '/nowhere', caseDirectory('chromium56-v36-get-1k'))
    expect(out.trimEnd().split('\n')).toHaveLength(1)
    expect(err).toBe('error: /nowhere does not exist: name a pcap or pcapng file, or a directory that holds case.json and datagrams.jsonl.gz\n')
    expect(exitCode).toBe(2)
  })
})
