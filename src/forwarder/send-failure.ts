/**
 * The answers that the forwarder makes itself.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { RequestFailure } from '../client/failure.js'
import { errorContent } from '../http/error-answer.js'
import { proxyStatus } from '../http/proxy-status.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { announcesBody } from './translate.js'

/** The fields and body of an answer that says why in words, with Proxy-Status (RFC 9209) for programs. */
export function failureAnswer(
  failure: RequestFailure,
  name: string,
  accept: string | undefined
): { headers: HeaderList; body: Buffer } {
  const detail = `${failure.cause}: ${failure.remedy}.`
  const { headers, body } = errorContent({ status: failure.status, detail, code: failure.type }, accept)
  const status = proxyStatus({ name, error: failure.type, details: failure.cause, nextHop: failure.nextHop })
  return { headers: [...headers, ['proxy-status', status]], body }
}

/** Answers a request whose response has not begun. An upload that is still running is not waited for. */
export function sendFailure(
  request: IncomingMessage,
  response: ServerResponse,
  failure: RequestFailure,
  name: string
): void {
  const { headers, body } = failureAnswer(failure, name, request.headers.accept)
  const flat = headers.flat()
  // Without content a request may be complete and not yet known to be.
  if (!request.complete && announcesBody(request)) flat.push('connection', 'close')
  response.writeHead(failure.status, flat)
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** A request that breaks the rules of HTTP, or asks for what is not carried. */
export function badRequest(why: string): RequestFailure {
  return new RequestFailure({
    type: 'http_request_error',
    status: 400,
    cause: why,
    remedy: 'send a path to use the gateway, or a whole http:// URL to use this as a proxy'
  })
}
