/**
 * The recorded connections in test/vectors/data: two real implementations talking over loopback, with all their keys.
 * Each folder has case.json (keys, certificates, and the HTTP that the datagrams carry) and datagrams.jsonl.gz.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { fileURLToPath } from 'node:url'

const dataDirectory = fileURLToPath(new URL('../vectors/data/', import.meta.url))

/** Keys of one level, hexadecimal, as they protect packets, and what they were derived from. */
export interface KeysJson {
  /** `versionSalt`: what obfuscates cleartext, derived from the connection id alone (Q050). */
  level: 'versionSalt' | 'initial' | 'forwardSecure'
  perspective: 'client' | 'server'
  clientKey: string
  clientIv: string
  /** Absent with `serverIv` if only the client's half was used (0-RTT). */
  serverKey?: string
  serverIv?: string
  clientHp?: string
  serverHp?: string
  /** These three are absent for `versionSalt`. */
  sharedSecret: string
  hkdfSalt: string
  hkdfInfo: string
  subkeySecret?: string
  serverKeyBeforeDiversification?: string
  serverIvBeforeDiversification?: string
  diversificationNonce?: string
  privateKey?: string
  peerPublicKey?: string
}

export interface MessageJson {
  streamId: number
  headers: [string, string][]
  bodyLength: number
  bodySha256: string
  trailers?: [string, string][]
}

export interface ConnectionJson {
  /** Which client socket, from 0. */
  conn: number
  connectionId: string
  version: string | null
  aead: 'AESG' | 'CC20' | null
  keyExchange: 'C255' | 'P256' | null
  keys: KeysJson[]
  requests: MessageJson[]
  responses: (MessageJson & { status: number; pushed?: boolean })[]
}

export interface CaseJson {
  case: string
  source: string
  version: string | null
  clientVersions: string[]
  serverVersions: string[] | null
  serverName: string
  note: string
  outcome: string
  /** Datagrams that no key opens; absent means 0. */
  undecryptable?: number
  connections: ConnectionJson[]
  server: {
    scfg: string
    privateKeys: Partial<Record<'C255' | 'P256', string>>
    sourceAddressTokenSecret?: string
    /** base64 DER, leaf first */
    certChain: string[]
    leafKeyPem: string
    proofs?: { chloHash: string; signature: string }[]
  }
}

export interface RecordedDatagram {
  us: number
  from: 'client' | 'server'
  conn: number
  /** Seen, but not delivered. */
  dropped: boolean
  bytes: Buffer
}

export interface RecordedCase {
  info: CaseJson
  datagrams: RecordedDatagram[]
}

/** Names of all recorded cases, or of those that `filter` takes, sorted. */
export function caseNames(filter: (name: string) => boolean = () => true): string[] {
  return readdirSync(dataDirectory).filter(filter).sort()
}

/** The folder of a case, for what reads captures itself. */
export function caseDirectory(name: string): string {
  return `${dataDirectory}${name}`
}

/** Reads one case whole. */
export function loadCase(name: string): RecordedCase {
  const directory = caseDirectory(name)
  const info = JSON.parse(readFileSync(`${directory}/case.json`, 'utf8')) as CaseJson
  const lines = gunzipSync(readFileSync(`${directory}/datagrams.jsonl.gz`)).toString('utf8').trimEnd().split('\n')
  const datagrams = lines.map(line => {
    const { us, from, conn, dropped, hex } = JSON.parse(line) as Omit<RecordedDatagram, 'bytes'> & { hex: string }
    return { us, from, conn, dropped: dropped === true, bytes: Buffer.from(hex, 'hex') }
  })
  return { info, datagrams }
}
