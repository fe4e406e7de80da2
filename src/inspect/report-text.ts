/**
 * A report for people: a heading for every capture and connection, a table of what was asked and answered.
 */
import Table from 'cli-table3'
import { headerValue } from '../quic/spdy/header-list.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { printable } from './packet-text.js'
import type { ConnectionReport, Inspection, RequestReport, ResponseReport } from './report.js'

const MAX_URL_LENGTH = 60
const HASH_DIGITS = 12

/** The report as text, without a line break at the end. */
export function formatReport(inspection: Inspection): string {
  const { report, dropped, notes, unsupportedVersions } = inspection
  const counts = [`${report.datagrams} datagrams`]
  if (dropped > 0) counts.push(`${dropped} not delivered`)
  counts.push(`${report.undecryptable} undecryptable`)
  if (unsupportedVersions.length > 0) counts.push(`some in ${printable(unsupportedVersions.join(', '))}`)
  const lines = [`${printable(report.case)}: ${counts.join(', ')}`]
  if (notes.length > 0) lines.push(`  other packets: ${notes.join(', ')}`)
  for (const connection of report.connections) lines.push(...connectionLines(connection))
  return lines.join('\n')
}

function connectionLines(connection: ConnectionReport): string[] {
  const { conn, connectionId, client, server, version, requests, responses } = connection
  const whose = client === undefined ? `client socket ${conn}` : `${client} to ${server}`
  const title = `  connection ${connectionId} (${whose}), ${version ?? 'no version'}`
  const ids = [...new Set([...requests, ...responses].map(message => message.streamId))].sort((a, b) => a - b)
  if (ids.length === 0) return [`${title}: no HTTP`]
  const table = new Table({
    head: ['stream', 'request', 'sent', 'status', 'received', 'sha256 of what was received', 'trailers'],
    colAligns: ['right', 'left', 'right', 'right', 'right', 'left', 'right'],
    style: { head: [], border: [], compact: true }
  })
  for (const id of ids) {
    const request = requests.find(message => message.streamId === id)
    const response = responses.find(message => message.streamId === id)
    table.push([
      id,
      request === undefined ? (response?.pushed ? '(pushed)' : '(not seen)') : requestLine(request),
      request?.bodyLength ?? '',
      response?.status ?? 'none',
      response?.bodyLength ?? '',
      response === undefined ? '' : `${response.bodySha256.slice(0, HASH_DIGITS)}…`,
      trailerCount(response)
    ])
  }
  return [title, ...table.toString().split('\n').map(line => `  ${line}`)]
}

function requestLine(request: RequestReport): string {
  const headers = request.headers as HeaderList
  const value = (name: string): string => headerValue(headers, name) ?? ''
  const url = `${value(':scheme')}://${value(':authority')}${value(':path')}`
  const shown = url.length > MAX_URL_LENGTH ? `${url.slice(0, MAX_URL_LENGTH - 1)}…` : url
  return printable(`${value(':method')} ${shown}`)
}

function trailerCount(response: ResponseReport | undefined): string {
  return response?.trailers === undefined ? '' : String(response.trailers.length)
}
