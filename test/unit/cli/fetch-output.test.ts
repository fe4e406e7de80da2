import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterAll, describe, expect, it } from 'vitest'
import { FileSink, TurnSink } from '../../../src/cli/fetch-output.js'
import { SINK_PIECE, type ResponseSink } from '../../../src/client/fetch-exchange.js'

const directory = mkdtempSync(join(tmpdir(), 'quicgate-output-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const content = Buffer.alloc(3_000_000)
for (let i = 0; i < content.length; i++) content[i] = (i * 29 + (i >> 8)) & 0xff

/** Writes `body` in pieces that are spoilt after each call, as an exchange does. @returns how often it had to wait */
async function pour(sink: ResponseSink, body: Buffer, size: number): Promise<number> {
  let go: (() => void) | undefined
  let waits = 0
  sink.onReady(() => go?.())
  for (let at = 0; at < body.length; at += size) {
    while (!sink.ready) {
      waits++
      await new Promise<void>((resolve) => (go = resolve))
    }
    const lent = Buffer.from(body.subarray(at, at + size))
    sink.write(lent)
    lent.fill(0xee)
  }
  return waits
}

describe('FileSink', () => {
  it.each([1, 1000, SINK_PIECE - 1, SINK_PIECE])('writes a body that comes in pieces of %i bytes', async (size) => {
    const path = join(directory, `pieces-${size}`)
    const sink = new FileSink(path, false)
    const body = size === 1 ? content.subarray(0, 10_000) : content
    await pour(sink, body, size)
    await sink.finish()
    expect(readFileSync(path).equals(body)).toBe(true)
  })

  it('asks to wait while it writes all that it has room for', async () => {
    const sink = new FileSink(join(directory, 'waits'), false)
    expect(await pour(sink, content, SINK_PIECE)).toBeGreaterThan(0)
    await sink.finish()
  })

  it('puts status and headers before the body and trailers behind it', async () => {
    const path = join(directory, 'included')
    const sink = new FileSink(path, true)
    sink.headers([[':status', '200'], ['x-octet', 'é']], 'Q050')
    sink.write(Buffer.from('body'))
    sink.trailers([['x-end', '1']])
    await sink.finish()
    expect(readFileSync(path, 'latin1')).toBe('QUIC/Q050 200\r\nx-octet: é\r\n\r\nbody\r\nx-end: 1\r\n')
  })

  it('does not keep back what came when nothing more comes', async () => {
    const path = join(directory, 'slow')
    const sink = new FileSink(path, false)
    sink.write(Buffer.from('a little'))
    await expect.poll(() => statSync(path).size, { timeout: 5000 }).toBe(8)
    await sink.finish()
  })

  it('makes an empty file of an empty body', async () => {
    const path = join(directory, 'empty')
    await new FileSink(path, false).finish()
    expect(statSync(path).size).toBe(0)
  })

  it('takes what comes after a failure, and tells of it at the end', async () => {
    const sink = new FileSink(join(directory, 'missing', 'file'), false)
    await pour(sink, content, SINK_PIECE)
    await expect(sink.finish()).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('TurnSink', () => {
  it('waits for its turn, and for a target that is full', async () => {
    const got: Buffer[] = []
    const target = new Writable({
      highWaterMark: 100,
      write(bytes: Buffer, _encoding, done) {
        got.push(bytes)
        setImmediate(done)
      }
    })
    let give!: () => void
    const sink = new TurnSink(target, true, new Promise((resolve) => (give = resolve)))
    sink.headers([[':status', '204']], 'Q036')
    expect(sink.ready).toBe(false)
    const poured = pour(sink, content.subarray(0, 1000), 100)
    give()
    expect(await poured).toBe(10)
    await sink.finish()
    target.end()
    await once(target, 'finish')
    expect(Buffer.concat(got).equals(Buffer.concat([Buffer.from('QUIC/Q036 204\r\n\r\n'), content.subarray(0, 1000)]))).toBe(true)
  })
})
