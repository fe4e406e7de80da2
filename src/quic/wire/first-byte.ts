/**
 * The first byte of long and short headers: what it says and how, in Q044 and from Q046 on.
 *
 *     Q044   0xFF Initial  0xFE Retry  0xFD Handshake  0xFC 0-RTT      0k11 00pp short: 1, 2 or 4 bytes
 *     Q046   11tt 00pp, t: 0 Initial, 1 0-RTT, 2 Handshake, 3 Retry    0100 00pp short: 1 to 4 bytes
 *
 * `pp` is the width of the packet number; Q044's long headers always have 4 bytes. `k`, a key phase, is never used but
 * set in the reference's stateless resets.
 */
import { EncryptionLevel, Perspective } from '../types.js'

/** What a long packet is for. Retry, which no server of these versions sends, is refused. */
export const LongType = { Initial: 0, ZeroRtt: 1, Handshake: 2 } as const
export type LongType = (typeof LongType)[keyof typeof LongType]

const RETRY = 3
const NOT_A_TYPE = -1

/** Reads and writes the byte in one version family. */
export interface FirstByte {
  /** -1 for a byte that no long packet of the version begins with. */
  longType(byte: number): LongType | -1
  longNumberLength(byte: number): number
  /** 0 for a byte that no short packet of the version begins with. */
  shortNumberLength(byte: number): number
  /** For packets of level None and Initial. */
  writeLong(level: EncryptionLevel, sender: Perspective, packetNumber: number, packetNumberLength: number): number
  writeShort(packetNumberLength: number): number
}

const Q044_INITIAL = 0xff
const Q044_HANDSHAKE = 0xfd
const Q044_ZERO_RTT = 0xfc

/** Of Q044. */
export const q044FirstByte: FirstByte = {
  longType(byte) {
    if (byte === Q044_INITIAL) return LongType.Initial
    if (byte === Q044_HANDSHAKE) return LongType.Handshake
    return byte === Q044_ZERO_RTT ? LongType.ZeroRtt : NOT_A_TYPE
  },
  longNumberLength() {
    return 4
  },
  shortNumberLength(byte) {
    if ((byte & 0xbc) !== 0x30 || (byte & 3) === 3) return 0
    return 1 << (byte & 3)
  },
  writeLong(level, sender, packetNumber) {
    if (level === EncryptionLevel.Initial) return Q044_ZERO_RTT
    // quic-go takes cleartext as Handshake only, but for a client's very first packet.
    return sender === Perspective.Client && packetNumber === 1 ? Q044_INITIAL : Q044_HANDSHAKE
  },
  writeShort(packetNumberLength) {
    return 0x30 | (packetNumberLength >>> 1)
  }
}

/** Of Q046 and Q050. */
export const q046FirstByte: FirstByte = {
  longType(byte) {
    const type = (byte >>> 4) & 3
    return (byte & 0xc0) !== 0xc0 || type === RETRY ? NOT_A_TYPE : (type as LongType)
  },
  longNumberLength(byte) {
    return (byte & 3) + 1
  },
  shortNumberLength(byte) {
    return (byte & 0xc0) === 0x40 ? (byte & 3) + 1 : 0
  },
  writeLong(level, _sender, _packetNumber, packetNumberLength) {
    const type = level === EncryptionLevel.Initial ? LongType.ZeroRtt : LongType.Initial
    return 0xc0 | (type << 4) | (packetNumberLength - 1)
  },
  writeShort(packetNumberLength) {
    return 0x40 | (packetNumberLength - 1)
  }
}
