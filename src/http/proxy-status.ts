/** Proxy-Status (RFC 9209): which hop made a response, and why. */
import { serializeList, Token } from 'structured-headers'
import type { BareItem } from 'structured-headers'

/** The error types of RFC 9209 section 2.3 that a hop of this product reports. */
export type ProxyErrorType =
  | 'dns_timeout'
  | 'dns_error'
  | 'destination_unavailable'
  | 'destination_ip_unroutable'
  | 'connection_refused'
  | 'connection_terminated'
  | 'connection_timeout'
  | 'connection_read_timeout'
  | 'connection_write_timeout'
  | 'connection_limit_reached'
  | 'tls_protocol_error'
  | 'tls_certificate_error'
  | 'tls_alert_received'
  | 'http_request_error'
  | 'http_request_denied'
  | 'http_response_incomplete'
  | 'http_response_header_section_size'
  | 'http_response_timeout'
  | 'http_protocol_error'
  | 'proxy_internal_response'
  | 'proxy_internal_error'
  | 'proxy_configuration_error'
  | 'proxy_loop_detected'

/** One member of the list. */
export interface ProxyStatus {
  /** What this hop calls itself. */
  readonly name: string
  readonly error: ProxyErrorType
  /** In words; characters outside ASCII are replaced. */
  readonly details?: string
  /** Host and port, or a name, of the next hop. */
  readonly nextHop?: string
  /** The status that the next hop had sent, if any. */
  readonly receivedStatus?: number
}

/** The value of the field, after the members that hops nearer to the origin wrote. */
export function proxyStatus(status: ProxyStatus, earlier?: string): string {
  const parameters = new Map<string, BareItem>([['error', new Token(status.error)]])
  if (status.nextHop !== undefined) parameters.set('next-hop', printable(status.nextHop))
  if (status.receivedStatus !== undefined) parameters.set('received-status', status.receivedStatus)
  if (status.details !== undefined) parameters.set('details', printable(status.details))
  const isToken = /^[A-Za-z*][!#$%&'*+\-.^_`|~:/0-9A-Za-z]*$/.test(status.name)
  const name = isToken ? new Token(status.name) : printable(status.name)
  const member = serializeList([[name, parameters]])
  return earlier === undefined || earlier === '' ? member : `${earlier}, ${member}`
}

/** Structured fields have ASCII strings only. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?')
}
