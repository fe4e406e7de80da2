/** A request stream of a client: hands its callbacks to the exchange that it carries. */
import type { HeaderList } from '../quic/spdy/header-list.js'
import type { PromisedResource } from '../quic/spdy/push/promise-headers.js'
import { QuicSpdyStream } from '../quic/spdy/spdy-stream.js'
import { Exchange } from './exchange.js'
import type { GatewaySession } from './gateway-session.js'

/** One request and its response on a connection of the gateway. */
export class GatewayStream extends QuicSpdyStream {
  private readonly exchange: Exchange

  constructor(id: number, session: GatewaySession) {
    super(id, session)
    this.exchange = new Exchange(this, session.facts, session.context)
  }

  private get owner(): GatewaySession {
    return this.session as GatewaySession
  }

  get pushed(): boolean {
    return this.owner.isPushed(this)
  }

  get mayPush(): boolean {
    return this.owner.pushEnabled && !this.pushed
  }

  push(original: HeaderList, resource: PromisedResource): void {
    const { owner } = this
    if (this.mayPush && owner.pushHistory.add(resource)) owner.pushResource(this, original, resource)
  }

  override onInitialHeaders(headers: HeaderList, fin: boolean): void {
    this.exchange.onHeaders(headers, fin)
  }

  override onMalformedHeaders(reason: string): void {
    this.exchange.onMalformedHeaders(reason)
  }

  override onTrailers(headers: HeaderList): void {
    this.exchange.onTrailers(headers)
  }

  override onDataAvailable(): void {
    this.exchange.onDataAvailable()
  }

  override onWritable(): void {
    this.exchange.onWritable()
  }

  override onReset(errorCode: number): void {
    this.exchange.onReset(errorCode)
  }

  override onStopSending(): void {
    this.exchange.onStopSending()
  }

  override onClose(): void {
    this.exchange.onClose()
  }
}
