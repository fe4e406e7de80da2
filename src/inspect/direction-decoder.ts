/**
 * What one side of a connection says, above packets: handshake messages, header blocks and bodies.
 */
import { createHash } from 'node:crypto'
import { QuicError } from '../quic/errors.js'
import { HpackDecoder } from '../quic/spdy/hpack/hpack-decoder.js'
import { headerValue } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { Http2FrameParser } from '../quic/spdy/http2-frame-parser.js'
import type { Http2SettingEntry } from '../quic/spdy/http2-frames.js'
import { EncryptionLevel, Perspective } from '../quic/types.js'
import { HandshakeMessageReader } from '../quic/wire/handshake-message.js'
import type { HandshakeMessage } from '../quic/wire/handshake-message.js'
import type { VersionTraits } from '../quic/wire/versions/version.js'
import type { RequestReport, ResponseReport } from './report.js'
import { StreamAssembler } from './stream-assembler.js'

// A recording is the person's own: lists of any size that fits in memory are shown whole.
const HPACK_LIMITS = { maxTableSize: 2 ** 24, maxHeaderListSize: 2 ** 26, maxFieldSize: 2 ** 24 }
const HANDSHAKE_LIMIT = 2 ** 20

/** Learns what a side says as soon as the packet that completes it is decoded. */
export interface SpeechListener {
  onHandshakeMessage(message: HandshakeMessage): void
  onHeaders(streamId: number, headers: HeaderList, fin: boolean, priority: number | undefined): void
  onPushPromise(streamId: number, promisedId: number, headers: HeaderList): void
  onSettings(entries: readonly Http2SettingEntry[]): void
  onFramedData(streamId: number, length: number, fin: boolean): void
  /** A stream that everybody depends on is broken: nothing more comes out of it. */
  onProblem(what: string): void
}

/** A stream's body and the header blocks that belong to it. */
class Message {
  headers: HeaderList | undefined
  trailers: HeaderList | undefined
  readonly assembler: StreamAssembler
  private readonly hash = createHash('sha256')
  private bytes = 0
  private digest: string | undefined

  constructor(readonly streamId: number) {
    this.assembler = new StreamAssembler(data => this.addBody(data))
  }

  addBody(data: Uint8Array): void {
    this.hash.update(data)
    this.bytes += data.length
  }

  report(): RequestReport {
    this.digest ??= this.hash.digest('hex')
    const report: RequestReport = {
      streamId: this.streamId,
      headers: this.headers!,
      bodyLength: this.bytes,
      bodySha256: this.digest
    }
    if (this.trailers !== undefined) report.trailers = this.trailers.filter(([name]) => name !== ':final-offset')
    return report
  }
}

/** Handshake messages, one after the other. */
class HandshakeStream {
  readonly assembler = new StreamAssembler(data => this.read(data))
  private readonly reader = new HandshakeMessageReader(HANDSHAKE_LIMIT)
  private broken = false

  constructor(
    private readonly listener: SpeechListener,
    private readonly onBroken: (error: unknown) => void
  ) {}

  private read(data: Uint8Array): void {
    if (this.broken) return
    try {
      this.reader.push(Uint8Array.from(data))
      for (let m = this.reader.next(); m !== undefined; m = this.reader.next()) this.listener.onHandshakeMessage(m)
    } catch (error) {
      this.broken = true
      this.onBroken(error)
    }
  }
}

/** Decodes the streams that one side sends on one connection. */
export class DirectionDecoder {
  private readonly messages = new Map<number, Message>()
  /** Those whose first header block came, in that order. */
  private readonly begun: Message[] = []
  /** The handshake's bytes, by the level at which they come; all at the first one where they are a stream. */
  private readonly handshakes = new Map<EncryptionLevel, HandshakeStream>()
  private readonly headers = new StreamAssembler(data => this.readHeaders(data))
  private readonly hpack = new HpackDecoder(HPACK_LIMITS)
  private readonly parser: Http2FrameParser
  private headersBroken = false

  /** @param sender the side that speaks */
  constructor(
    private readonly sender: Perspective,
    private readonly listener: SpeechListener
  ) {
    const receiver = sender === Perspective.Client ? Perspective.Server : Perspective.Client
    this.parser = new Http2FrameParser(
      {
        onHeaders: (streamId, block, fin, priority) => this.addHeaders(streamId, block, fin, priority),
        onPushPromise: (streamId, promisedId, block) =>
          listener.onPushPromise(streamId, promisedId, this.hpack.decode(block)),
        onSettings: entries => listener.onSettings(entries),
        // Under forced head-of-line blocking bodies come here, in order.
        onData: (streamId, data, fin) => {
          this.message(streamId).addBody(data)
          listener.onFramedData(streamId, data.length, fin)
        },
        onPriority: () => {}
      },
      receiver
    )
  }

  /** Takes a STREAM frame's data; `data` may be kept. */
  onStream(traits: VersionTraits, streamId: number, offset: number, data: Uint8Array): void {
    if (streamId === traits.cryptoStreamId) this.onHandshakeData(EncryptionLevel.None, offset, data)
    else if (streamId === traits.headersStreamId) this.headers.push(offset, data)
    else this.message(streamId).assembler.push(offset, data)
  }

  /** Takes a CRYPTO frame's data, whose offsets count for each level anew; `data` may be kept. */
  onHandshakeData(level: EncryptionLevel, offset: number, data: Uint8Array): void {
    let handshake = this.handshakes.get(level)
    if (handshake === undefined) {
      handshake = new HandshakeStream(this.listener, error => this.reportProblem('crypto stream', error))
      this.handshakes.set(level, handshake)
    }
    handshake.assembler.push(offset, data)
  }

  /** The requests of a client, in the order in which their header blocks came. */
  requests(): RequestReport[] {
    return this.begun.map(message => message.report())
  }

  /** The responses of a server, in the order in which their header blocks came. */
  responses(): ResponseReport[] {
    return this.begun.map(message => {
      const { streamId, ...rest } = message.report()
      const status = headerValue(rest.headers, ':status') ?? ''
      const report: ResponseReport = { streamId, status: /^\d{3}$/.test(status) ? Number(status) : 0, ...rest }
      // Servers open even streams.
      if (streamId % 2 === 0) report.pushed = true
      return report
    })
  }

  private message(streamId: number): Message {
    let message = this.messages.get(streamId)
    if (message === undefined) {
      message = new Message(streamId)
      this.messages.set(streamId, message)
    }
    return message
  }

  private addHeaders(streamId: number, block: Uint8Array, fin: boolean, priority: number | undefined): void {
    const headers = this.hpack.decode(block)
    const message = this.message(streamId)
    if (message.headers === undefined) {
      message.headers = headers
      this.begun.push(message)
    } else {
      message.trailers = headers
    }
    this.listener.onHeaders(streamId, headers, fin, priority)
  }

  private readHeaders(data: Uint8Array): void {
    if (this.headersBroken) return
    try {
      this.parser.push(data)
    } catch (error) {
      this.headersBroken = true
      this.reportProblem('headers stream', error)
    }
  }

  private reportProblem(where: string, error: unknown): void {
    if (!(error instanceof QuicError)) throw error
    const who = this.sender === Perspective.Client ? 'client' : 'server'
    this.listener.onProblem(`${where} of the ${who}: ${error.message}`)
  }
}
