/** What a failure of the upstream side means: the status for the client, the word for the log, the reason for both. */
import type { ProxyErrorType } from '../http/proxy-status.js'
import type { Outcome } from './access-log.js'
import { RequestBodyError } from './request-body.js'

/** One failure, as everybody is told about it. */
export interface Failure {
  readonly status: number
  readonly outcome: Outcome
  readonly error: ProxyErrorType
  /** In words, without addresses: `the connection was refused`. */
  readonly words: string
}

/** A request that never got a place among an upstream's connections. */
export class NoPlaceError extends Error {
  override readonly name = 'NoPlaceError'

  constructor(readonly code: 'TOO_MANY_WAITING' | 'QUEUE_TIMEOUT') {
    super(code === 'QUEUE_TIMEOUT' ? 'no connection became free in time' : 'too many requests wait for a connection')
  }
}

type Row = readonly [status: number, outcome: Outcome, error: ProxyErrorType, words: string]

const busy: Row = [503, 'upstream_busy', 'connection_limit_reached', 'all connections to the upstream are in use']
const refused: Row = [502, 'upstream_refused', 'connection_refused', 'the upstream refused the connection']
const unroutable: Row = [502, 'upstream_unreachable', 'destination_ip_unroutable', 'the upstream cannot be reached']
const connectTimeout: Row = [
  504,
  'upstream_timeout',
  'connection_timeout',
  'the upstream did not accept a connection in time'
]
const reset: Row = [
  502,
  'upstream_reset',
  'connection_terminated',
  'the upstream closed the connection before it answered'
]
const certificate: Row = [502, 'upstream_tls', 'tls_certificate_error', 'the upstream\'s certificate was not accepted']
const tls: Row = [502, 'upstream_tls', 'tls_protocol_error', 'the upstream does not complete a TLS handshake']
const protocol: Row = [502, 'upstream_protocol', 'http_protocol_error', 'the upstream\'s answer is not valid HTTP']
const stopping: Row = [503, 'gateway_stopping', 'proxy_internal_error', 'the gateway is stopping']

/** Codes of undici, of Node's sockets and of OpenSSL. */
const rows: Readonly<Record<string, Row>> = {
  TOO_MANY_WAITING: busy,
  QUEUE_TIMEOUT: busy,
  ECONNREFUSED: refused,
  ENOTFOUND: [502, 'upstream_unresolved', 'dns_error', 'the upstream\'s name does not resolve'],
  EAI_AGAIN: [504, 'upstream_unresolved', 'dns_timeout', 'the upstream\'s name could not be resolved in time'],
  EHOSTUNREACH: unroutable,
  ENETUNREACH: unroutable,
  EADDRNOTAVAIL: unroutable,
  ETIMEDOUT: connectTimeout,
  UND_ERR_CONNECT_TIMEOUT: connectTimeout,
  UND_ERR_HEADERS_TIMEOUT: [504, 'upstream_timeout', 'http_response_timeout', 'the upstream did not answer in time'],
  UND_ERR_BODY_TIMEOUT: [
    504,
    'upstream_timeout',
    'connection_read_timeout',
    'the upstream stopped in the middle of its answer'
  ],
  ECONNRESET: reset,
  EPIPE: reset,
  UND_ERR_SOCKET: reset,
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: [
    502,
    'upstream_reset',
    'http_response_incomplete',
    'the upstream\'s answer is incomplete'
  ],
  UND_ERR_HEADERS_OVERFLOW: [
    502,
    'upstream_protocol',
    'http_response_header_section_size',
    'the upstream\'s header is too large'
  ],
  UND_ERR_DESTROYED: stopping,
  UND_ERR_CLOSED: stopping,
  EPROTO: tls,
  CONTENT_LENGTH_MISMATCH: [400, 'bad_request', 'http_request_error', 'the content does not have the announced length'],
  CONTENT_STALLED: [408, 'client_timeout', 'http_request_error', 'the content of the request stopped arriving']
}

const internal: Row = [500, 'gateway_error', 'proxy_internal_error', 'the gateway failed']

/** Looks a failure up by its `code`, or by its name where undici's parser gives none. */
export function failureOf(error: Error): Failure {
  const code = String((error as NodeJS.ErrnoException).code ?? '')
  const row = rows[code] ?? familyOf(code) ?? (error.name === 'HTTPParserError' ? protocol : internal)
  const [status, outcome, type, words] = row
  return { status, outcome, error: type, words: error instanceof RequestBodyError ? error.message : words }
}

function familyOf(code: string): Row | undefined {
  if (code.startsWith('HPE_')) return protocol
  if (/^(?:CERT|CRL)_|_CERT|^UNABLE_TO_|^INVALID_CA$/.test(code)) return certificate
  return /^ERR_(?:SSL|TLS)_/.test(code) ? tls : undefined
}

/** Whether a connection broke rather than a message was wrong: one that was used before may just have been old. */
export function isBrokenConnection(error: Error): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE'
}
