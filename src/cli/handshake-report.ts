/**
 * How a connection began, for people and for programs.
 */
import { X509Certificate } from 'node:crypto'
import { channelIdName } from '../quic/crypto/channel-id.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'

/** What `fetch --json` says of a handshake. */
export interface HandshakeFacts {
  /** Client hellos sent, the one that was accepted included. */
  readonly hellos: number
  /** Whether requests went with the first of them, and what became of that. */
  readonly earlyData: string
  /** The reasons of each rejection, by the protocol's names. */
  readonly rejections: readonly (readonly string[])[]
  readonly aead: string | undefined
  readonly keyExchange: string | undefined
  readonly connectionId: string
  /** Bytes of signed certificate timestamps that the server sent; they are not checked. */
  readonly certificateTimestamps: number | undefined
  /** The name of the Channel ID that was proven: SHA-256 of the key, base64. */
  readonly channelId: string | undefined
}

/** The facts of a connection, as far as they are known now. */
export function handshakeFacts(connection: SessionConnection): HandshakeFacts {
  const { helloCount, earlyData, rejections, aead, keyExchange, timestamps, channelId } = connection.describeHandshake()
  return {
    hellos: helloCount,
    earlyData,
    rejections,
    aead,
    keyExchange,
    connectionId: connection.connectionId.toString(),
    certificateTimestamps: timestamps?.length,
    channelId: channelId && channelIdName(channelId)
  }
}

const earlyDataWords: Readonly<Record<string, string>> = {
  accepted: 'sent with the first hello (0-RTT), accepted',
  rejected: 'sent with the first hello (0-RTT), rejected and sent again',
  offered: 'sent with the first hello (0-RTT), no answer yet',
  none: 'sent when the server was known'
}

/** The lines that `fetch -v` prints about a connection. */
export function handshakeLines(connection: SessionConnection): string[] {
  const { hellos, earlyData, rejections, aead, keyExchange, connectionId, channelId } = handshakeFacts(connection)
  const lines = [`connection ${connectionId}: ${connection.version.label}, ${aead ?? '-'}, ${keyExchange ?? '-'}`]
  const [leaf] = connection.describeHandshake().certificates
  if (leaf !== undefined) lines.push(`certificate: ${certificateWords(leaf)}`)
  for (const reasons of rejections) lines.push(`rejected: ${reasons.length === 0 ? 'no reason given' : reasons.join(', ')}`)
  if (channelId !== undefined) lines.push(`Channel ID: ${channelId}`)
  lines.push(`requests: ${earlyDataWords[earlyData]} (${hellos} client ${hellos === 1 ? 'hello' : 'hellos'})`)
  return lines
}

function certificateWords(der: Uint8Array): string {
  try {
    const { subject, validTo, subjectAltName } = new X509Certificate(der)
    return `${subjectAltName ?? subject.replaceAll('\n', ', ')}, until ${new Date(validTo).toISOString().slice(0, 10)}`
  } catch {
    return 'unreadable'
  }
}
