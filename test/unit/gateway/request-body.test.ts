import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { RequestBody, type RequestBodyError } from '../../../src/gateway/request-body.js'

const IDLE = 1_000

/** A stream's content, as far as it has come. */
class Source {
  readEnded = false
  stopped = 0
  readonly pieces: Uint8Array[] = []

  read(): Uint8Array | undefined {
    return this.pieces.shift()
  }

  stopReading(): void {
    this.stopped++
  }
}

/** An upstream that takes everything as it comes, unless it is paused. */
class Upload {
  readonly source = new Source()
  readonly body: RequestBody
  readonly got: string[] = []
  ended = false
  error: RequestBodyError | undefined

  constructor(contentLength?: number) {
    this.body = new RequestBody(this.source, contentLength, IDLE)
    this.body.on('data', (piece: Buffer) => this.got.push(piece.toString()))
    this.body.on('end', () => (this.ended = true))
    this.body.on('error', (error: RequestBodyError) => (this.error = error))
  }

  async send(text: string, end = false): Promise<void> {
    await settled()
    if (text !== '') this.source.pieces.push(Buffer.from(text))
    this.source.readEnded = end
    this.body.onReadable()
    await settled()
  }
}

/** Streams do things a tick or two later. */
async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})

afterEach(() => {
  vi.useRealTimers()
})

describe('the content of a request', () => {
  it('goes on as it comes, to its end', async () => {
    const upload = new Upload(6)
    await upload.send('abc')
    await upload.send('def', true)
    expect([upload.got.join(''), upload.ended, upload.error]).toEqual(['abcdef', true, undefined])
    expect([upload.body.started, upload.body.received, upload.source.stopped]).toEqual([true, 6, 0])
  })

  it.each([
    ['longer', 5, 'content-length is 5, but 6 bytes came'],
    ['shorter', 7, 'content-length is 7, but 6 bytes came']
  ])('is an error when it is %s than was announced', async (_, length, message) => {
    const upload = new Upload(length)
    await upload.send('abc')
    await upload.send('def', true)
    expect(upload.error).toMatchObject({ code: 'CONTENT_LENGTH_MISMATCH', message })
    expect([upload.got.join(''), upload.ended]).toEqual(length === 5 ? ['abc', false] : ['abcdef', false])
  })

  it('that is too long ends with the first byte too many: nothing more of it is read', async () => {
    const upload = new Upload(3)
    await upload.send('abcd')
    await upload.send('efgh')
    expect(upload.error?.code).toBe('CONTENT_LENGTH_MISMATCH')
    expect([upload.got, upload.source.stopped, upload.source.pieces.length]).toEqual([[], 1, 1])
  })

  it('is read no further ahead of the upstream than 16 KiB and a piece', async () => {
    const source = new Source()
    for (let i = 0; i < 100; i++) source.pieces.push(Buffer.alloc(4096))
    const body = new RequestBody(source, undefined, IDLE)
    body.read(0)
    await settled()
    expect(body.received).toBe(16 * 1024)
    // Who waits for the upstream is not late.
    vi.advanceTimersByTime(10 * IDLE)
    expect(body.destroyed).toBe(false)
    expect(body.read()!.length).toBeGreaterThan(0)
    await settled()
    expect(body.received).toBeGreaterThan(16 * 1024)
    body.destroy()
  })

  it('has to go on within the idle time, counted from the last piece', async () => {
    const upload = new Upload()
    await upload.send('a')
    for (let i = 0; i < 3; i++) {
      vi.advanceTimersByTime(IDLE - 1)
      await upload.send('b')
    }
    expect(upload.error).toBeUndefined()
    vi.advanceTimersByTime(IDLE)
    await settled()
    expect(upload.error).toMatchObject({ code: 'CONTENT_STALLED', message: 'the client sent nothing for 1000 ms' })
    expect(upload.source.stopped).toBe(1)
  })

  it('that has ended is late no more', async () => {
    const upload = new Upload()
    await upload.send('a')
    await upload.send('', true)
    vi.advanceTimersByTime(10 * IDLE)
    await settled()
    expect([upload.ended, upload.error]).toEqual([true, undefined])
  })
})
