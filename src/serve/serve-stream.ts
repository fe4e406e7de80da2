/**
 * One request to the file server.
 */
import { open } from 'node:fs/promises'
import { QuicRstStreamErrorCode } from '../quic/errors.js'
import { headerValue, headerValues } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import type { QuicSpdyServerSession } from '../quic/spdy/spdy-server-session.js'
import { QuicSpdyStream } from '../quic/spdy/spdy-stream.js'
import { BodySender } from './body-sender.js'
import { answerFile } from './file-response.js'
import type { FileRoot } from './file-root.js'
import type { RecordedResponses } from './recorded-responses.js'

/** Where answers come from: files of a directory, or recorded responses. */
export type ServeContent =
  | { readonly kind: 'files'; readonly root: FileRoot }
  | { readonly kind: 'recorded'; readonly responses: RecordedResponses }

/** One request, told when its stream is done. */
export interface ServedRequest {
  readonly method: string
  readonly authority: string
  readonly path: string
  /** 0 if no answer was given. */
  readonly status: number
  readonly bodyLength: number
}

/** What all streams of a server share. */
export interface ServeContext {
  readonly content: ServeContent
  onRequest?(request: ServedRequest): void
}

/** See the file comment. Created by the server's session, which sets `context` before anything is delivered. */
export class ServeStream extends QuicSpdyStream {
  context: ServeContext | undefined
  private request: HeaderList = []
  private received = 0
  private sender: BodySender | undefined
  private answered = false
  private status = 0
  private bodyLength = 0

  override onInitialHeaders(headers: HeaderList, fin: boolean): void {
    this.request = headers
    if (this.context?.content.kind === 'files') this.answerFromFiles(fin)
    else if (fin) this.answerFromRecordings()
  }

  override onMalformedHeaders(): void {
    this.answerText('500', 'bad')
  }

  /** The reference server has no use for request trailers and answers them with its error response. */
  override onTrailers(): void {
    this.answerText('500', 'bad')
  }

  /** Recorded responses wait for the end of the request, whose body is counted (quic_simple_server_stream.cc). */
  override onDataAvailable(): void {
    for (let piece = this.read(); piece !== undefined; piece = this.read()) this.received += piece.length
    if (this.answered) return
    const expected = this.contentLength()
    if (expected === 'bad' || (expected !== undefined && this.received > expected)) this.answerText('500', 'bad')
    else if (this.readEnded) this.answerFromRecordings()
  }

  override onWritable(): void {
    this.sender?.pump()
  }

  override onStopSending(): void {
    this.sender?.stop()
  }

  override onClose(): void {
    this.sender?.stop()
    const method = headerValue(this.request, ':method') ?? ''
    const authority = headerValue(this.request, ':authority') ?? ''
    const path = headerValue(this.request, ':path') ?? ''
    this.context?.onRequest?.({ method, authority, path, status: this.status, bodyLength: this.bodyLength })
  }

  private get withoutBody(): boolean {
    return headerValue(this.request, ':method') === 'HEAD'
  }

  /** The request's content-length, `bad` if it has several that differ or one that is no number. */
  private contentLength(): number | 'bad' | undefined {
    const values = headerValues(this.request, 'content-length')
    if (values.length === 0) return undefined
    if (values.some((value) => value !== values[0]) || !/^\d{1,15}$/.test(values[0]!)) return 'bad'
    return Number(values[0])
  }

  private answerFromRecordings(): void {
    if (this.answered || this.context?.content.kind !== 'recorded') return
    const authority = headerValue(this.request, ':authority')
    const path = headerValue(this.request, ':path')
    const expected = this.contentLength()
    if (authority === undefined || path === undefined || ((expected ?? 0) !== 0 && expected !== this.received)) {
      this.answerText('500', 'bad')
      return
    }
    const found = this.context.content.responses.find(authority, path)
    if (found === undefined) {
      this.answerText('404', 'file not found')
      return
    }
    const { headers, bodyStart, bodyLength } = found
    const session = this.session as QuicSpdyServerSession
    if (session.isPushed(this) && !/^(200|3..)$/.test(headerValue(headers, ':status')!)) {
      this.answered = true
      this.reset(QuicRstStreamErrorCode.STREAM_CANCELLED)
      return
    }
    for (const resource of found.pushes) session.pushResource(this, this.request, resource)
    if (bodyLength === 0 || this.withoutBody) this.answer(headers, 0)
    else this.sendFile(headers, open(found.file), bodyStart, bodyLength)
  }

  private answerFromFiles(requestEnded: boolean): void {
    if (!requestEnded) this.stopReading()
    const method = headerValue(this.request, ':method')
    const path = headerValue(this.request, ':path')
    if (method === undefined || path === undefined) this.answerText('400', 'bad request\n')
    else if (method === 'GET' || method === 'HEAD') this.findFile(path)
    else this.answerText('405', 'only GET and HEAD here\n', ['allow', 'GET, HEAD'])
  }

  private findFile(path: string): void {
    if (this.context?.content.kind !== 'files') return
    this.context.content.root.find(path).then(
      (found) => {
        if (this.closed) {
          if (found?.kind === 'file') found.handle.close().catch(() => {})
        } else if (found === undefined) {
          this.answerText('404', 'file not found')
        } else if (found.kind === 'redirect') {
          this.answerText('301', `see ${found.location}\n`, ['location', found.location])
        } else {
          const { headers, start, length } = answerFile(this.request, found.name, found.stats)
          if (length > 0 && !this.withoutBody) {
            this.sendFile(headers, Promise.resolve(found.handle), start, length)
          } else {
            found.handle.close().catch(() => {})
            this.answer(headers, 0)
          }
        }
      },
      () => this.closed || this.answerText('500', 'cannot read that file\n')
    )
  }

  private sendFile(headers: HeaderList, file: ReturnType<typeof open>, start: number, length: number): void {
    this.answered = true
    file.then(
      (handle) => {
        if (this.closed || this.writeEnded) {
          handle.close().catch(() => {})
          return
        }
        this.sender = new BodySender(this, handle, start, length, QuicRstStreamErrorCode.ERROR_PROCESSING_STREAM)
        this.answer(headers, length)
        this.sender.pump()
      },
      () => this.closed || this.answerText('500', 'bad')
    )
  }

  /** Sends the headers; `bodyLength` bytes follow, or nothing. */
  private answer(headers: HeaderList, bodyLength: number): void {
    this.answered = true
    this.status = Number(headerValue(headers, ':status'))
    this.bodyLength = bodyLength
    if (!this.readEnded) this.stopReading()
    this.writeHeaders(headers, bodyLength === 0)
  }

  private answerText(status: string, text: string, ...extra: HeaderList): void {
    if (this.writeEnded || this.closed) return
    const body = Buffer.from(text)
    const headers: HeaderList = [[':status', status], ...extra]
    if (this.context?.content.kind === 'files') headers.push(['content-type', 'text/plain; charset=utf-8'])
    headers.push(['content-length', String(body.length)])
    this.answer(headers, this.withoutBody ? 0 : body.length)
    if (!this.withoutBody) this.write(body, true)
  }
}
