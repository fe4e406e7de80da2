/**
 * How packets are protected: one sealer and one opener per key, in place, shaped for batches so that an engine which
 * handles many packets in one call can stand behind the same interface.
 */

/** AEADs as the handshake names them: AES-128-GCM and ChaCha20-Poly1305. */
export type AeadName = 'AESG' | 'CC20'

/** The most packets that one batch, and so one transmit, holds. */
export const MAX_BATCH_PACKETS = 16

/**
 * Packets laid out in one buffer, waiting to be sealed. Packet i has its header at `headerStart[i]`, its plaintext at
 * `[payloadStart[i], payloadEnd[i])`, where `payloadStart[i]` leaves the sealer's `prefixLength` free behind the
 * header and the sealer's `suffixLength` bytes behind `payloadEnd[i]` are free too.
 */
export class PacketBatch {
  buffer: Uint8Array = new Uint8Array(0)
  count = 0
  readonly headerStart = new Int32Array(MAX_BATCH_PACKETS)
  readonly payloadStart = new Int32Array(MAX_BATCH_PACKETS)
  readonly payloadEnd = new Int32Array(MAX_BATCH_PACKETS)
  /** Full packet numbers, below 2^53. */
  readonly packetNumber = new Float64Array(MAX_BATCH_PACKETS)

  add(headerStart: number, payloadStart: number, payloadEnd: number, packetNumber: number): void {
    const i = this.count++
    this.headerStart[i] = headerStart
    this.payloadStart[i] = payloadStart
    this.payloadEnd[i] = payloadEnd
    this.packetNumber[i] = packetNumber
  }
}

/** Protects outgoing packets with one key. */
export interface PacketSealer {
  /** Bytes that protection adds between header and payload (the null hash stands there). */
  readonly prefixLength: number
  /** Bytes that protection adds behind the payload (the AEAD tag stands there). */
  readonly suffixLength: number
  /** Seals every packet of the batch in place. The associated data is the packet's header, complete. */
  seal(batch: PacketBatch): void
}

/** Opens incoming packets with one key. */
export interface PacketOpener {
  readonly prefixLength: number
  readonly suffixLength: number
  /**
   * Authenticates and decrypts one packet in place: header in `[headerStart, headerEnd)`, protected payload in
   * `[headerEnd, end)`. The plaintext then stands at `headerEnd + prefixLength`.
   *
   * @returns the plaintext's length in bytes, or -1 if the packet does not authenticate (the buffer is then unchanged)
   */
  open(buffer: Uint8Array, headerStart: number, headerEnd: number, end: number, packetNumber: number): number
}

/** Makes sealers and openers; what an engine supplies. Keys are 16 (AESG) or 32 (CC20) bytes, IV prefixes 4 bytes. */
export interface AeadProvider {
  /** AEADs in order of speed on this engine: the order in which a server config advertises them. */
  readonly preference: readonly AeadName[]
  createSealer(aead: AeadName, key: Uint8Array, iv: Uint8Array): PacketSealer
  createOpener(aead: AeadName, key: Uint8Array, iv: Uint8Array): PacketOpener
}
