/** What an exchange needs of the world around it. */
import type { GatewayConfig } from '../config/gateway-config.js'
import type { Neighbour } from '../http/forwarded.js'
import type { UnderscorePolicy } from '../http/request-head.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import type { PromisedResource } from '../quic/spdy/push/promise-headers.js'
import type { AccessLog } from './access-log.js'
import type { RouteTable } from './route-table.js'
import type { UpstreamPools } from './upstream-pools.js'

/** Shared by all exchanges of a gateway. */
export interface ExchangeContext {
  /** What the gateway calls itself. */
  readonly name: string
  readonly routes: RouteTable
  readonly upstreams: UpstreamPools
  readonly forwarded: GatewayConfig['forwarded']
  readonly underscores: UnderscorePolicy
  readonly accessLog: AccessLog
  /** Told of errors that should not be possible. */
  onInternalError(error: Error): void
}

/** The connection that an exchange came on. */
export interface ConnectionFacts {
  /** Where the client, or the proxy before it, is now. */
  readonly peer: Neighbour
  /** Such as `Q036`. */
  readonly version: string
  readonly connectionId: string
  /** The name of the Channel ID that the client proved. */
  channelId(): string | undefined
  /** Smoothed round-trip time in milliseconds, now. */
  rtt(): number
  /** Whether this side is ending the connection because the gateway stops. */
  stopping(): boolean
}

/** What an exchange needs of its QUIC stream; QuicSpdyStream has it. */
export interface ClientStream {
  readonly id: number
  read(): Uint8Array | undefined
  readonly readEnded: boolean
  readonly closed: boolean
  stopReading(): void
  write(data: Uint8Array, fin?: boolean): boolean
  end(): void
  reset(errorCode: number): void
  writeHeaders(headers: HeaderList, fin: boolean): void
  writeTrailers(headers: HeaderList): void
  /** Whether it carries the response to a request that was promised, not made. */
  readonly pushed?: boolean
  /** Whether resources may be promised with its response now. */
  readonly mayPush?: boolean
  /** Promises a resource, unless the client had it before; to be called before the response's headers are written. */
  push?(original: HeaderList, resource: PromisedResource): void
}
