/**
 * Writes a response that arrives over QUIC to the local client: paused when its socket is slow, and never passed off as
 * complete when it is not.
 */
import type { ServerResponse } from 'node:http'
import type { RequestFailure } from '../client/failure.js';
import { malformedResponse } from '../client/failure.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { headerValue, headerValues } from '../quic/spdy/header-list.js'

/** What the writer reads the body from. */
export interface BodySource {
  read(): Uint8Array | undefined
  readonly readEnded: boolean
}

/** How a response ended: complete, or with a failure before or after its first byte. */
export interface ResponseOutcome {
  complete(): void
  failed(failure: RequestFailure): void
}

/** What the fields may say about the body: 204 has no length, only chunked bodies have trailers. */
export interface Framing {
  readonly length: boolean
  readonly trailers: boolean
}

/** The length that the headers promise, `bad` for one that is no number or several that differ. */
function contentLengthOf(headers: HeaderList): number | 'bad' | undefined {
  const values = headerValues(headers, 'content-length')
  if (values.length === 0) return undefined
  const [first] = values
  return /^\d{1,15}$/.test(first!) && values.every((value) => value === first) ? Number(first) : 'bad'
}

/** One response. `begin` comes first, then `pump` as often as there may be something to read. */
export class ResponseWriter {
  /** Body bytes passed on. */
  bytes = 0
  /** HTTP status; 0 before {@link begin}. */
  status = 0
  private source: BodySource | undefined
  /** Body bytes still promised by content-length; Infinity without it, 0 where no body is allowed. */
  private left = Infinity
  private bodyAllowed = true
  private chunked = false
  private blocked = false
  private ended = false
  private endSeen = false
  private trailers: HeaderList | undefined

  /**
   * @param toLocal turns the response's headers into the flat name, value list that goes to the client
   * @param outcome told once
   */
  constructor(
    private readonly response: ServerResponse,
    private readonly isHead: boolean,
    private readonly toLocal: (headers: HeaderList, framing: Framing) => string[],
    private readonly outcome: ResponseOutcome
  ) {}

  /** Whether the status line has gone out, after which only the connection can tell of a failure. */
  get started(): boolean {
    return this.source !== undefined
  }

  /** Whether the whole response was taken from the stream; the local socket may still have to take the end of it. */
  get receivedAll(): boolean {
    return this.endSeen
  }

  /** Sends status and headers. Reports a failure instead if they are malformed. */
  begin(headers: HeaderList, fin: boolean, source: BodySource): void {
    const status = Number(headerValue(headers, ':status'))
    const length = contentLengthOf(headers)
    if (!(Number.isInteger(status) && status >= 200 && status <= 599)) {
      this.fail(malformedResponse(`":status" is ${headerValue(headers, ':status') ?? 'missing'}`))
      return
    }
    this.bodyAllowed = !this.isHead && status !== 204 && status !== 304
    if (length === 'bad' || (fin && this.bodyAllowed && (length ?? 0) > 0)) {
      this.fail(malformedResponse(length === 'bad' ? 'content-length is no single number' : 'the body is missing'))
      return
    }
    this.left = this.bodyAllowed ? (length ?? Infinity) : 0
    this.status = status
    this.source = source
    this.chunked = this.bodyAllowed && length === undefined && this.response.req.httpVersion !== '1.0'
    this.response.writeHead(status, this.toLocal(headers, { length: status !== 204, trailers: this.chunked }))
    this.response.on('drain', () => {
      this.blocked = false
      this.pump()
    })
    if (fin) {
      this.end()
      return
    }
    // The first bytes of the body share a packet with the headers if they are here, else the headers do not wait.
    this.pump()
    if (this.bytes === 0 && !this.ended) this.response.flushHeaders()
  }

  /** No more body will come than can be read now; `trailers` follow it. */
  end(trailers?: HeaderList): void {
    this.trailers = trailers
    this.endSeen = true
    this.pump()
  }

  /** Passes on what can be read, until the local socket is full; ends the response at the end of the body. */
  pump(): void {
    if (this.ended || this.source === undefined) return
    if (!this.blocked) this.copy(this.source)
    if (this.source.readEnded) this.endSeen = true
    if (this.ended || this.blocked || !this.endSeen) return
    if (this.left !== Infinity && this.left > 0) {
      this.fail(malformedResponse(`${this.left} bytes of the body are missing`))
      return
    }
    this.ended = true
    if (this.trailers !== undefined && this.chunked) this.response.addTrailers(this.trailers as [string, string][])
    this.response.end()
    this.outcome.complete()
  }

  /**
   * Writes many pieces as one, because each write becomes a chunk. Not with cork(): Node 22 and the first half of 24 then lose
   * 'drain' or give it too early, and a client that does not read would not hold the stream up (nodejs/node#60432).
   */
  private copy(source: BodySource): void {
    const pieces: Uint8Array[] = []
    const room = this.response.writableHighWaterMark
    while (!this.blocked && !this.ended) {
      const size = this.gather(source, pieces, room)
      if (size === 0) return
      this.bytes += size
      this.blocked = !this.response.write(pieces.length === 1 ? pieces[0] : Buffer.concat(pieces, size))
      pieces.length = 0
    }
  }

  /** Takes pieces until they have `room` bytes or there are no more; how many bytes it took. */
  private gather(source: BodySource, pieces: Uint8Array[], room: number): number {
    let size = 0
    while (size < room) {
      const piece = source.read()
      if (piece === undefined) break
      if (!this.bodyAllowed) continue
      if (piece.length > this.left) {
        this.fail(malformedResponse('the body is longer than its content-length'))
        return 0
      }
      this.left -= piece.length
      size += piece.length
      pieces.push(piece)
    }
    return size
  }

  private fail(failure: RequestFailure): void {
    if (this.ended) return
    this.ended = true
    this.outcome.failed(failure)
  }
}
