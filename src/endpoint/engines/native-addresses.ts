/**
 * Peers of native sockets: addresses as the kernel has them, and the objects that stand for them.
 */
import type { PeerAddress } from '../../quic/types.js'
import { ADDRESS_WORDS, type NativeAddon } from './native-addon.js'

const MAX_KNOWN_ADDRESSES = 4096
// Odd and secret, so that nobody can choose addresses that all fall into one bucket.
const MULTIPLIER = (Math.random() * 2 ** 32) | 1

/** An address with its record kept beside it, so that answering to it looks nothing up. */
class RecordedAddress implements PeerAddress {
  readonly #record: Int32Array

  constructor(
    readonly family: 4 | 6,
    readonly address: string,
    readonly port: number,
    record: Int32Array
  ) {
    this.#record = record
  }

  /** The record of an address, if it was made with one. */
  static recordOf(address: PeerAddress): Int32Array | undefined {
    return #record in address ? address.#record : undefined
  }
}

/** The object for a record. */
export function addressOf(addon: NativeAddon, record: Int32Array, offset: number): PeerAddress {
  const own = record.slice(offset, offset + ADDRESS_WORDS)
  return new RecordedAddress(own[0] === 6 ? 6 : 4, addon.formatAddress(own, 0), own[1]!, own)
}

/** Keeps one object for each peer, so that a packet makes no new one; and records for objects from elsewhere. */
export class NativeAddressBook {
  private last: PeerAddress | undefined
  private lastRecord: Int32Array = new Int32Array(ADDRESS_WORDS)
  private buckets = new Map<number, PeerAddress[]>()
  private size = 0
  private readonly foreign = new WeakMap<PeerAddress, Int32Array>()

  constructor(private readonly addon: NativeAddon) {}

  /** Whose record stands at `offset`. */
  of(records: Int32Array, offset: number): PeerAddress {
    if (this.last !== undefined && sameRecord(this.lastRecord, records, offset)) return this.last
    let hash = 0
    for (let i = 0; i < ADDRESS_WORDS; i++) hash = Math.imul(hash ^ records[offset + i]!, MULTIPLIER) ^ (hash >>> 15)
    let bucket = this.buckets.get(hash)
    let found = bucket?.find((known) => sameRecord(RecordedAddress.recordOf(known)!, records, offset))
    if (found === undefined) {
      if (this.size++ >= MAX_KNOWN_ADDRESSES) {
        this.buckets.clear()
        this.size = 1
        bucket = undefined
      }
      found = addressOf(this.addon, records, offset)
      if (bucket === undefined) this.buckets.set(hash, [found])
      else bucket.push(found)
    }
    this.last = found
    this.lastRecord = RecordedAddress.recordOf(found)!
    return found
  }

  /** The record of any address; undefined for what is not a numeric one. */
  recordOf(address: PeerAddress): Int32Array | undefined {
    let record = RecordedAddress.recordOf(address) ?? this.foreign.get(address)
    if (record === undefined) {
      record = new Int32Array(ADDRESS_WORDS)
      if (!this.addon.parseAddress(address.address, address.port, record, 0)) return undefined
      this.foreign.set(address, record)
    }
    return record
  }
}

function sameRecord(record: Int32Array, records: Int32Array, offset: number): boolean {
  for (let i = 0; i < ADDRESS_WORDS; i++) {
    if (record[i] !== records[offset + i]) return false
  }
  return true
}
