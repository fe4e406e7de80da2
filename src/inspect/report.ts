/**
 * What an inspection finds, with the field names of case.json.
 */
import type { HeaderField } from '../quic/spdy/header-list.js'

/** One request, as much of it as arrived. */
export interface RequestReport {
  streamId: number
  /** In wire order, pseudo-headers included. */
  headers: readonly HeaderField[]
  /** Bytes up to the end, or to the first gap if the stream was cut short. */
  bodyLength: number
  bodySha256: string
  /** Without `:final-offset`; absent if there were none. */
  trailers?: readonly HeaderField[]
}

/** One response, as much of it as arrived. */
export interface ResponseReport extends RequestReport {
  /** 0 if the header block has no three-digit `:status`. */
  status: number
  /** Set on responses that the server began by itself. */
  pushed?: true
}

/** One connection: a client socket and a connection id. */
export interface ConnectionReport {
  conn: number
  connectionId: string
  /** Where the capture knows addresses, `host:port`. */
  client?: string
  server?: string
  /** The version of the last packet that opened, null if none did. */
  version: string | null
  requests: RequestReport[]
  responses: ResponseReport[]
}

/** One capture directory. */
export interface CaseReport {
  case: string
  /** Datagrams recorded, those that were not delivered included. */
  datagrams: number
  /** Delivered datagrams that no key opens. */
  undecryptable: number
  connections: ConnectionReport[]
}

/** A report, and what cannot be said in it. */
export interface Inspection {
  report: CaseReport
  /** Datagrams that were recorded but not delivered. */
  dropped: number
  /** What of the capture was left out, in words. */
  notes: string[]
  /** Versions named in packets that could not be decoded. */
  unsupportedVersions: string[]
  /** What violated the protocol, one sentence each. */
  problems: string[]
}
