/**
 * Tags: four bytes, written in reading order, that name handshake messages, their values and algorithms
 * (crypto_protocol.h). A tag is kept as the little-endian number of its bytes, which is also its sort order.
 */

/**
 * The number of a tag from its text. Shorter names are filled up with NUL.
 *
 * @param text one to four characters up to U+00FF
 */
export function tagOf(text: string): number {
  let value = 0
  for (let i = 3; i >= 0; i--) value = value * 256 + (i < text.length ? text.charCodeAt(i) & 0xff : 0)
  return value
}

/** The tag that stands at `at`. */
export function readTag(b: Uint8Array, at: number): number {
  return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0
}

/** Writes a tag at `at`. */
export function writeTag(b: Uint8Array, at: number, tag: number): void {
  b[at] = tag
  b[at + 1] = tag >>> 8
  b[at + 2] = tag >>> 16
  b[at + 3] = tag >>> 24
}

/** Names of messages. */
export const MessageTag = {
  CHLO: tagOf('CHLO'),
  SHLO: tagOf('SHLO'),
  REJ: tagOf('REJ'),
  SREJ: tagOf('SREJ'),
  SCUP: tagOf('SCUP'),
  SCFG: tagOf('SCFG'),
  PRST: tagOf('PRST'),
  CETV: tagOf('CETV')
} as const

/** Names of values inside messages. */
export const Tag = {
  PAD: tagOf('PAD'),
  // What both hellos may say about the connection (quic_config.cc).
  ICSL: tagOf('ICSL'),
  SCLS: tagOf('SCLS'),
  MSPC: tagOf('MSPC'),
  MIDS: tagOf('MIDS'),
  TCID: tagOf('TCID'),
  IRTT: tagOf('IRTT'),
  CFCW: tagOf('CFCW'),
  SFCW: tagOf('SFCW'),
  SRBF: tagOf('SRBF'),
  NCMR: tagOf('NCMR'),
  COPT: tagOf('COPT'),
  ASAD: tagOf('ASAD'),
  FHOL: tagOf('FHOL'),
  // Client hello.
  SNI: tagOf('SNI'),
  VER: tagOf('VER'),
  UAID: tagOf('UAID'),
  CCS: tagOf('CCS'),
  CCRT: tagOf('CCRT'),
  PDMD: tagOf('PDMD'),
  CSCT: tagOf('CSCT'),
  NONP: tagOf('NONP'),
  NONC: tagOf('NONC'),
  CTIM: tagOf('CTIM'),
  SCID: tagOf('SCID'),
  KEXS: tagOf('KEXS'),
  AEAD: tagOf('AEAD'),
  PUBS: tagOf('PUBS'),
  XLCT: tagOf('XLCT'),
  TBKP: tagOf('TBKP'),
  CETV: tagOf('CETV'),
  // Rejection, server hello and server config.
  STK: tagOf('STK'),
  SNO: tagOf('SNO'),
  SCFG: tagOf('SCFG'),
  OBIT: tagOf('OBIT'),
  EXPY: tagOf('EXPY'),
  STTL: tagOf('STTL'),
  CRT: tagOf('CRT\xff'),
  PROF: tagOf('PROF'),
  RREJ: tagOf('RREJ'),
  RCID: tagOf('RCID'),
  SVID: tagOf('SVID'),
  SRST: tagOf('SRST'),
  CADR: tagOf('CADR'),
  // Channel ID.
  CIDK: tagOf('CIDK'),
  CIDS: tagOf('CIDS'),
  // Public reset.
  RNON: tagOf('RNON'),
  RSEQ: tagOf('RSEQ')
} as const

/** The proof that a client demands in PDMD: an X.509 chain. */
export const TAG_X509 = tagOf('X509')

/** In a server config's PDMD: clients that have a Channel ID are to prove it. */
export const TAG_CHID = tagOf('CHID')

/** Why a server answers with a rejection, as RREJ lists it (crypto_handshake.h, HandshakeFailureReason). */
export const RejectReason = {
  CLIENT_NONCE_UNKNOWN_FAILURE: 1,
  CLIENT_NONCE_INVALID_FAILURE: 2,
  CLIENT_NONCE_NOT_UNIQUE_FAILURE: 3,
  CLIENT_NONCE_INVALID_ORBIT_FAILURE: 4,
  CLIENT_NONCE_INVALID_TIME_FAILURE: 5,
  CLIENT_NONCE_STRIKE_REGISTER_TIMEOUT: 6,
  CLIENT_NONCE_STRIKE_REGISTER_FAILURE: 7,
  SERVER_NONCE_DECRYPTION_FAILURE: 8,
  SERVER_NONCE_INVALID_FAILURE: 9,
  SERVER_NONCE_NOT_UNIQUE_FAILURE: 10,
  SERVER_NONCE_INVALID_TIME_FAILURE: 11,
  SERVER_CONFIG_INCHOATE_HELLO_FAILURE: 12,
  SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE: 13,
  SOURCE_ADDRESS_TOKEN_INVALID_FAILURE: 14,
  SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE: 15,
  SOURCE_ADDRESS_TOKEN_PARSE_FAILURE: 16,
  SOURCE_ADDRESS_TOKEN_DIFFERENT_IP_ADDRESS_FAILURE: 17,
  SOURCE_ADDRESS_TOKEN_CLOCK_SKEW_FAILURE: 18,
  SOURCE_ADDRESS_TOKEN_EXPIRED_FAILURE: 19,
  SERVER_NONCE_REQUIRED_FAILURE: 20,
  INVALID_EXPECTED_LEAF_CERTIFICATE: 21
} as const
export type RejectReason = number

const rejectReasonNames = new Map<number, string>(Object.entries(RejectReason).map(([name, reason]) => [reason, name]))

/** The protocol's name of a reject reason, `UNKNOWN_REASON_n` for one that has none. */
export function rejectReasonName(reason: number): string {
  return rejectReasonNames.get(reason) ?? `UNKNOWN_REASON_${reason}`
}

/**
 * A tag as people read it: without its trailing NULs, a byte that is not printable as `\xNN`. A tag that begins with
 * such a byte is no name at all and comes as one hexadecimal number.
 */
export function tagName(tag: number): string {
  let text = ''
  for (let i = 0, rest = tag; i < 4; i++, rest >>>= 8) {
    const byte = rest & 0xff
    if (rest === 0) break
    if (byte > 0x20 && byte < 0x7f) text += String.fromCharCode(byte)
    else if (i > 0) text += `\\x${byte.toString(16).padStart(2, '0')}`
    else return `0x${tag.toString(16).padStart(8, '0')}`
  }
  return text === '' ? '0x00000000' : text
}
