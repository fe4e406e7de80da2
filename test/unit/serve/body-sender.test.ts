import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BodySender } from '../../../src/serve/body-sender.js'
import type { BodySink } from '../../../src/serve/body-sender.js'

const content = Buffer.alloc(1_000_000)
for (let i = 0; i < content.length; i++) content[i] = (i * 13 + (i >> 8)) & 0xff

let directory: string
let path: string
let file: FileHandle

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'quicgate-body-'))
  path = join(directory, 'file')
})

beforeEach(async () => {
  writeFileSync(path, content)
  file = await open(path)
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

class Sink implements BodySink {
  readonly pieces: Uint8Array[] = []
  releasedOffset = 0
  ready = true
  writeEnded = false
  closed = false
  code: number | undefined

  write(data: Uint8Array, fin = false): boolean {
    this.pieces.push(data)
    this.writeEnded = fin
    return this.ready
  }

  reset(errorCode: number): void {
    this.code = errorCode
    this.closed = true
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces)
  }
}

describe('BodySender', () => {
  it('sends the part that was asked for, and closes the file', async () => {
    const sink = new Sink()
    new BodySender(sink, file, 1000, 700_000, 1).pump()
    await expect.poll(() => sink.writeEnded).toBe(true)
    expect(sink.bytes.equals(content.subarray(1000, 701_000))).toBe(true)
    await expect.poll(() => file.fd).toBe(-1)
  })

  it('reads no further than the stream takes', async () => {
    const sink = new Sink()
    sink.ready = false
    const sender = new BodySender(sink, file, 0, content.length, 1)
    sender.pump()
    await expect.poll(() => sink.pieces.length).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(sink.pieces).toHaveLength(1)
    sink.ready = true
    sender.pump()
    // Called again while it reads: nothing is sent twice.
    sender.pump()
    await expect.poll(() => sink.writeEnded).toBe(true)
    expect(sink.bytes.equals(content)).toBe(true)
  })

  it('reads into memory that the stream is done with, and into none that it may yet read', async () => {
    const sink = new Sink()
    sink.ready = false
    const sender = new BodySender(sink, file, 0, content.length, 1)
    const next = async (): Promise<Uint8Array> => {
      const { length } = sink.pieces
      sender.pump()
      await expect.poll(() => sink.pieces.length).toBe(length + 1)
      return sink.pieces[length]!
    }
    const first = await next()
    const second = await next()
    expect(second.buffer).not.toBe(first.buffer)
    sink.releasedOffset = first.length - 1
    const third = await next()
    expect(third.buffer).not.toBe(first.buffer)
    expect(Buffer.concat([first, second, third]).equals(content.subarray(0, 3 * first.length))).toBe(true)
    sink.releasedOffset = first.length
    expect((await next()).buffer).toBe(first.buffer)
    expect(sink.pieces[3]!).toEqual(content.subarray(3 * first.length, 4 * first.length))
    sender.stop()
  })

  it('resets the stream when the file has become shorter', async () => {
    const sink = new Sink()
    truncateSync(path, 200_000)
    new BodySender(sink, file, 0, content.length, 42).pump()
    await expect.poll(() => sink.code).toBe(42)
    expect(sink.writeEnded).toBe(false)
    await expect.poll(() => file.fd).toBe(-1)
  })

  it('stops in the middle of a read', async () => {
    const sink = new Sink()
    const sender = new BodySender(sink, file, 0, content.length, 1)
    sender.pump()
    sender.stop()
    await expect.poll(() => file.fd).toBe(-1)
    expect(sink.pieces).toHaveLength(0)
  })
})
