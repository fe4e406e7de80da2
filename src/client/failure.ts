/**
 * Why a request over QUIC failed, in words that tell a person what to do, with the error type of RFC 9209 for programs.
 */
import type { ProxyErrorType } from '../http/proxy-status.js'
import { quicRstErrorName } from '../quic/errors.js'

export interface FailureInit {
  type: ProxyErrorType
  /** The HTTP status that a proxy answers with. */
  status: 400 | 408 | 431 | 500 | 501 | 502 | 503 | 504
  /** What happened: one sentence without a full stop. */
  cause: string
  /** What to do about it: one sentence without a full stop. */
  remedy: string
  /** True if trying again soon cannot help: a wrong name, a refused certificate, no version in common. */
  permanent?: boolean
  /** The protocol's or the system's name of the error, such as QUIC_PROOF_INVALID or ENOTFOUND. */
  code?: string
  /** The other end, `host:port`. */
  nextHop?: string
}

/** A failed connection or request. Its message is cause and remedy, fit for a person. */
export class RequestFailure extends Error implements FailureInit {
  override readonly name = 'RequestFailure'
  readonly type: ProxyErrorType
  readonly status: FailureInit['status']
  override readonly cause: string
  readonly remedy: string
  readonly permanent: boolean
  readonly code: string | undefined
  readonly nextHop: string | undefined

  constructor(init: FailureInit) {
    super(`${init.cause}: ${init.remedy}`)
    this.type = init.type
    this.status = init.status
    this.cause = init.cause
    this.remedy = init.remedy
    this.permanent = init.permanent ?? false
    this.code = init.code
    this.nextHop = init.nextHop
  }
}

/** Whom a connection was for: what the words of a failure name. */
export interface FailureContext {
  /** What is dialled, `host:port`. */
  readonly target: string
  /** The name that the certificate has to carry. */
  readonly serverName: string
  /** How long an answer was waited for, or is to be, ms. */
  readonly timeoutMs: number
}

type Words = (details: string, c: FailureContext) => FailureInit

const unresolved: Words = (_details, c) => ({
  type: 'dns_error',
  status: 502,
  permanent: true,
  cause: `cannot resolve the name in ${c.target}`,
  remedy: 'check the spelling, or give the address with --connect IP:PORT'
})

const noAnswer: Words = (_details, c) => ({
  type: 'connection_timeout',
  status: 504,
  cause: `no answer from ${c.target} over UDP within ${c.timeoutMs / 1000} s`,
  remedy: 'check that the gateway runs there, and that no firewall on the way drops UDP to that port'
})

const unroutable: Words = (_details, c) => ({
  type: 'destination_ip_unroutable',
  status: 502,
  cause: `there is no network route to ${c.target}`,
  remedy: "check this machine's network, and whether it has IPv6 if the address is one"
})

const versionRefused: Words = (_details, c) => ({
  type: 'tls_protocol_error',
  status: 502,
  permanent: true,
  cause: `${c.target} speaks none of the QUIC versions offered`,
  remedy: 'choose another with --quic-version, or see which ones its listener allows'
})

const cryptoRefused: Words = (details, c) => ({
  type: 'tls_protocol_error',
  status: 502,
  cause: `the QUIC handshake with ${c.target} failed (${details})`,
  remedy: 'check that the other end speaks Google QUIC, and that nothing on the way alters its packets'
})

const lost: Words = (details, c) => ({
  type: 'connection_terminated',
  status: 502,
  cause: `the connection to ${c.target} died (${details})`,
  remedy: 'try again; if it keeps happening, the log of the gateway says more'
})

const byCode: Record<string, Words> = {
  ENOTFOUND: unresolved,
  ENODATA: unresolved,
  EAI_AGAIN: (_details, c) => ({
    type: 'dns_timeout',
    status: 504,
    cause: `the name server does not answer for ${c.target}`,
    remedy: 'check this machine\'s network, or give the address with --connect IP:PORT'
  }),
  ECONNREFUSED: (_details, c) => ({
    type: 'connection_refused',
    status: 502,
    cause: `nothing listens on UDP ${c.target}`,
    remedy: 'check that the gateway runs and that the address and port are right'
  }),
  ENETUNREACH: unroutable,
  EHOSTUNREACH: unroutable,
  EADDRNOTAVAIL: unroutable,
  EPERM: (_details, c) => ({
    type: 'destination_unavailable',
    status: 502,
    cause: `this machine does not allow UDP to ${c.target}`,
    remedy: 'check its firewall rules'
  }),
  EMSGSIZE: (_details, c) => ({
    type: 'destination_unavailable',
    status: 502,
    cause: `the path to ${c.target} does not carry packets of the size used`,
    remedy: 'lower maxPacketLength to 1232 or less'
  }),
  QUIC_HANDSHAKE_TIMEOUT: noAnswer,
  QUIC_PROOF_INVALID: (details, c) => ({
    type: 'tls_certificate_error',
    status: 502,
    permanent: true,
    cause: `the certificate of ${c.target} was refused for ${c.serverName} (${details})`,
    remedy: 'pass --ca FILE if the certificate is signed by your own authority, or use the name that it was made for'
  }),
  QUIC_INVALID_VERSION: versionRefused,
  QUIC_CRYPTO_VERSION_NOT_SUPPORTED: versionRefused,
  QUIC_VERSION_NEGOTIATION_MISMATCH: (details, c) => ({
    ...cryptoRefused(details, c),
    remedy: 'something on the way altered the version negotiation: do not trust this network'
  }),
  QUIC_HANDSHAKE_FAILED: cryptoRefused,
  QUIC_CRYPTO_NO_SUPPORT: cryptoRefused,
  QUIC_CRYPTO_TOO_MANY_REJECTS: cryptoRefused,
  QUIC_DECRYPTION_FAILURE: cryptoRefused,
  QUIC_NETWORK_IDLE_TIMEOUT: (_details, c) => ({
    type: 'connection_timeout',
    status: 504,
    cause: `${c.target} fell silent until the connection's idle timeout`,
    remedy: 'check that the gateway still runs and that UDP still passes'
  }),
  QUIC_TOO_MANY_RTOS: (_details, c) => ({
    type: 'connection_timeout',
    status: 504,
    cause: `${c.target} stopped acknowledging packets`,
    remedy: 'check that the gateway still runs and that UDP still passes'
  }),
  QUIC_PUBLIC_RESET: (_details, c) => ({
    type: 'connection_terminated',
    status: 502,
    cause: `${c.target} does not know the connection any more, it was restarted`,
    remedy: 'try again'
  }),
  QUIC_PEER_GOING_AWAY: (_details, c) => ({
    type: 'connection_terminated',
    status: 502,
    cause: `${c.target} is shutting down`,
    remedy: 'try again when it is back'
  }),
  QUIC_PACKET_READ_ERROR: (details, c) => ({
    type: 'connection_terminated',
    status: 502,
    cause: `the connection to ${c.target} died (${details})`,
    remedy: 'check that the gateway still runs there'
  }),
  QUIC_TOO_MANY_SESSIONS_ON_SERVER: (_details, c) => ({
    type: 'connection_limit_reached',
    status: 503,
    cause: `${c.target} has all the sessions it allows`,
    remedy: 'try again later, or raise the limit of its listener'
  })
}

/**
 * Words for an error of connecting or of a connection that ended: a QuicError, a Node system error, or anything else.
 */
export function explainConnectionError(error: unknown, context: FailureContext): RequestFailure {
  if (error instanceof RequestFailure) return error
  const { code, details, message } = (error ?? {}) as { code?: string; details?: string; message?: string }
  const words = (code === undefined ? undefined : byCode[code]) ?? lost
  const text = details !== undefined && details !== '' ? details : (message ?? String(error))
  const shown = words === lost && code !== undefined ? `${code}${details ? `: ${details}` : ''}` : text
  return new RequestFailure({ code, nextHop: context.target, ...words(shown, context) })
}

/**
 * Words for an error while a connection was being made. Silence then has another meaning than later.
 * @param elapsedMs how long it was tried, ms
 */
export function explainDialError(error: unknown, context: FailureContext, elapsedMs: number): RequestFailure {
  const silent = (error as { code?: string } | undefined)?.code === 'QUIC_NETWORK_IDLE_TIMEOUT'
  const tried = { ...context, timeoutMs: Math.max(Math.round(elapsedMs / 100) * 100, 100) }
  return explainConnectionError(silent ? { code: 'QUIC_HANDSHAKE_TIMEOUT' } : error, tried)
}

/** Words for a stream that the other end reset before its response was complete. */
export function explainReset(errorCode: number, responseStarted: boolean): RequestFailure {
  const code = quicRstErrorName(errorCode)
  return new RequestFailure({
    type: responseStarted ? 'http_response_incomplete' : 'connection_terminated',
    status: 502,
    code,
    cause: `the gateway cut the ${responseStarted ? 'response' : 'request'} short (${code})`,
    remedy: 'the log of the gateway says which upstream failed'
  })
}

/** Words for a response that breaks the rules of HTTP. */
export function malformedResponse(what: string): RequestFailure {
  return new RequestFailure({
    type: 'http_protocol_error',
    status: 502,
    cause: `the response is malformed (${what})`,
    remedy: 'report it to whoever runs the gateway'
  })
}
