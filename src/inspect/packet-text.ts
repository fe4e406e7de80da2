/**
 * Packets, frames and messages in words, in the manner of Wireshark: one line a packet, then one a frame.
 */
import { X509Certificate } from 'node:crypto'
import { decompressChain } from '../quic/crypto/cert-compressor.js'
import { quicErrorName, quicRstErrorName } from '../quic/errors.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { Http2Setting } from '../quic/spdy/http2-frames.js'
import type { Http2SettingEntry } from '../quic/spdy/http2-frames.js'
import { EncryptionLevel } from '../quic/types.js'
import type { AckFrame } from '../quic/wire/frames/frames.js'
import type { HandshakeMessage } from '../quic/wire/handshake-message.js'
import type { PublicReset } from '../quic/wire/public-reset.js'
import { Tag, tagName } from '../quic/wire/tags.js'
import type { QuicVersion, VersionTraits } from '../quic/wire/versions/version.js'
import type { CapturedDatagram } from './capture.js'

/** What is shown of one datagram. */
export interface PacketSummary {
  /** From 1. */
  number: number
  datagram: CapturedDatagram
  /** The version it was decoded in, or what else it is. */
  protocol: string
  /** What the packet is about, in a few words each. */
  topics: string[]
  /** What follows the topics on the packet's line. */
  facts: string[]
  /** Lines of frames and messages, already indented relative to each other. */
  details: string[]
}

const INDENT = '  '
const DETAIL_INDENT = ' '.repeat(8)
const MAX_HEX_DIGITS = 64
const levelNames: Readonly<Record<EncryptionLevel, string>> = {
  [EncryptionLevel.None]: 'null',
  [EncryptionLevel.Initial]: 'initial',
  [EncryptionLevel.ForwardSecure]: 'forward secure'
}

/** All lines of a packet, without a line break at the end. Whatever a peer sent is made safe for a terminal. */
export function formatPacket(packet: PacketSummary): string {
  const { number, datagram, protocol, topics, facts, details } = packet
  const seconds = (datagram.us / 1_000_000).toFixed(6)
  const way = datagram.from === 'client' ? 'client → server' : 'server → client'
  const info = [...(topics.length > 0 ? [topics.join(' ')] : []), ...facts].join(', ')
  const first = `${String(number).padStart(5)} ${seconds.padStart(11)} ${way} ${protocol.padEnd(5)} ${String(
    datagram.bytes.length
  ).padStart(4)}  ${info}`
  return [first, ...details.map(line => DETAIL_INDENT + line)].map(printable).join('\n')
}

/** How a packet was protected. */
export function levelText(level: EncryptionLevel, version: QuicVersion): string {
  const obfuscated = level === EncryptionLevel.None && version.protection.headerProtection
  return obfuscated ? 'obfuscated' : levelNames[level]
}

/** One line for a STREAM frame. */
export function streamText(traits: VersionTraits, id: number, offset: number, length: number, fin: boolean): string {
  const role = id === traits.cryptoStreamId ? ' (crypto)' : id === traits.headersStreamId ? ' (headers)' : ''
  return `STREAM ${id}${role} offset ${offset} length ${length}${fin ? ' FIN' : ''}`
}

/** One line for a CRYPTO frame. */
export function cryptoText(offset: number, length: number): string {
  return `CRYPTO offset ${offset} length ${length}`
}

/** One line for an ACK. The entropy hash is -1 in versions without. */
export function ackText(ack: AckFrame, entropyHash: number, truncated: boolean): string {
  const ranges: string[] = []
  for (let i = 0; i < ack.rangeCount; i++) {
    const first = ack.ranges[2 * i]!
    const last = ack.ranges[2 * i + 1]!
    ranges.push(first === last ? `${first}` : `${first}-${last}`)
  }
  const delay = ack.ackDelay === Infinity ? 'unknown' : `${ack.ackDelay} µs`
  const largest = `${ack.largestAcked}${truncated ? ' (truncated)' : ''}`
  const shown = ranges.length === 0 ? 'none' : ranges.join(' ')
  return `ACK largest ${largest} delay ${delay}: ${shown}${entropyText(entropyHash)}`
}

/** One line for a STOP_WAITING. The entropy hash is -1 in versions without. */
export function stopWaitingText(leastUnacked: number, entropyHash: number): string {
  return `STOP_WAITING least unacked ${leastUnacked}${entropyText(entropyHash)}`
}

function entropyText(hash: number): string {
  return hash < 0 ? '' : ` entropy 0x${hash.toString(16).padStart(2, '0')}`
}

/** One line for a RST_STREAM. */
export function rstStreamText(streamId: number, errorCode: number, finalOffset: number): string {
  return `RST_STREAM ${streamId} ${quicRstErrorName(errorCode)} (${errorCode}) final offset ${finalOffset}`
}

/** One line for a CONNECTION_CLOSE. */
export function connectionCloseText(errorCode: number, reason: string): string {
  return `CONNECTION_CLOSE ${quicErrorName(errorCode)} (${errorCode}) ${JSON.stringify(reason)}`
}

/** One line for a GOAWAY. */
export function goAwayText(errorCode: number, lastGoodStreamId: number, reason: string): string {
  const error = `${quicErrorName(errorCode)} (${errorCode})`
  return `GOAWAY ${error} last good stream ${lastGoodStreamId} ${JSON.stringify(reason)}`
}

/** A WINDOW_UPDATE's or BLOCKED's subject. */
export function streamOrConnection(streamId: number): string {
  return streamId === 0 ? 'connection' : `stream ${streamId}`
}

/** A handshake message, a tag a line, long values shortened. A certificate chain is named by its subjects. */
export function handshakeLines(message: HandshakeMessage): string[] {
  const lines = message.describe().split('\n').map(shortenHex)
  const chain = message.get(Tag.CRT)
  if (chain !== undefined) {
    const at = lines.findIndex(line => line.trimStart().startsWith(`${tagName(Tag.CRT)}:`))
    lines.splice(at + 1, 0, ...chainSubjects(chain).map(subject => `${INDENT.repeat(2)}${subject}`))
  }
  return lines.map(line => INDENT + line)
}

/** A header block, a field a line. */
export function headerLines(title: string, headers: HeaderList): string[] {
  return [INDENT + title, ...headers.map(([name, value]) => `${INDENT.repeat(2)}${name}: ${value}`)]
}

/** One line for SETTINGS. */
export function settingsText(entries: readonly Http2SettingEntry[]): string {
  const names = new Map<number, string>(Object.entries(Http2Setting).map(([name, id]) => [id, name]))
  return `${INDENT}SETTINGS ${entries.map(([id, value]) => `${names.get(id) ?? id}=${value}`).join(' ')}`
}

/** The lines of a public reset. */
export function publicResetLines(reset: PublicReset): string[] {
  const address = reset.clientAddress
  const host = address?.family === 6 ? `[${address.address}]` : address?.address
  return [
    `RNON: ${Buffer.from(reset.nonceProof).toString('hex')}`,
    `RSEQ: ${reset.rejectedPacketNumber ?? 'absent'}`,
    `CADR: ${address === undefined ? 'absent' : `${host}:${address.port}`}`
  ]
}

/** The text with every control character written out, so that a peer's bytes cannot steer a terminal. */
export function printable(text: string): string {
  return text.replaceAll(/[\x00-\x1f\x7f-\x9f]/g, c => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function shortenHex(line: string): string {
  return line.replace(/: ([0-9a-f]{65,})$/, (_all, digits: string) => {
    return `: ${digits.slice(0, MAX_HEX_DIGITS)}… (${digits.length / 2} bytes)`
  })
}

function chainSubjects(chain: Uint8Array): string[] {
  try {
    return decompressChain(chain).map((der, i) => {
      const { subject, validTo } = new X509Certificate(der)
      return `certificate ${i + 1}: ${subject.replaceAll('\n', ', ')}, valid until ${validTo}`
    })
  } catch {
    // What is shown above says it all: an unreadable chain is no reason not to show the rest.
    return ['certificates not readable without what the client has (cached, or in common certificate sets)']
  }
}
