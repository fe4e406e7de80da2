/**
 * Common certificate sets: certificates that both sides have beforehand, so that a chain only names them
 * (common_cert_set.cc). Which sets there are is up to whoever runs the two ends: none comes with this library.
 */
import { fnv1a64 } from './fnv.js'

/** Bytes of a hash that names a set, in CCS and in compressed chains. */
export const SET_HASH_LENGTH = 8
/** Sets that one end has at most: a client names each in every hello, which has to fit a packet. */
export const MAX_COMMON_SETS = 16

/** One set. Its certificates are sorted by their bytes, so that all who have the same ones agree on their indexes. */
export class CommonCertificateSet {
  /** DER. */
  readonly certificates: readonly Uint8Array[]
  /** What names the set: FNV-1a, 64 bits, over length (u32) and bytes of each certificate, little-endian. */
  readonly hash: Uint8Array

  /**
   * @param certificates DER, in any order; one that is there twice counts once
   * @throws RangeError without certificates
   */
  constructor(certificates: readonly Uint8Array[]) {
    if (certificates.length === 0) throw new RangeError('a common certificate set needs a certificate')
    const sorted = [...certificates].sort(Buffer.compare)
    this.certificates = sorted.filter((der, i) => i === 0 || Buffer.compare(der, sorted[i - 1]!) !== 0)
    const hash = Buffer.alloc(SET_HASH_LENGTH)
    hash.writeBigUInt64LE(fnv1a64(Buffer.concat(this.certificates.flatMap((der) => [lengthOf(der), der]))))
    this.hash = hash
  }

  /** The index of a certificate, -1 if it is not in the set. */
  indexOf(certificate: Uint8Array): number {
    let low = 0
    let high = this.certificates.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = Buffer.compare(certificate, this.certificates[middle]!)
      if (order === 0) return middle
      if (order < 0) high = middle
      else low = middle + 1
    }
    return -1
  }
}

/** A certificate by its place in a set. */
export interface CommonCertificateName {
  readonly setHash: Uint8Array
  readonly index: number
}

/** The sets that one end has. */
export class CommonCertificateSets {
  /** The value of CCS: the hash of each set. */
  readonly hashes: Uint8Array

  /** @throws RangeError for more than 16 sets */
  constructor(readonly sets: readonly CommonCertificateSet[]) {
    if (sets.length > MAX_COMMON_SETS) throw new RangeError(`more than ${MAX_COMMON_SETS} common certificate sets`)
    this.hashes = Buffer.concat(sets.map(({ hash }) => hash))
  }

  /**
   * The sets of `announced`, a value of CCS, that are here too, in its order; none if its length is no multiple of 8
   * bytes.
   */
  shared(announced: Uint8Array | undefined): readonly CommonCertificateSet[] {
    if (announced === undefined || announced.length % SET_HASH_LENGTH !== 0 || this.sets.length === 0) return []
    const shared: CommonCertificateSet[] = []
    for (let at = 0; at < announced.length; at += SET_HASH_LENGTH) {
      const set = this.find(announced.subarray(at, at + SET_HASH_LENGTH))
      if (set !== undefined && !shared.includes(set)) shared.push(set)
    }
    return shared
  }

  /** The certificate that a name stands for; undefined if the set, or its index, is not here. */
  certificate({ setHash, index }: CommonCertificateName): Uint8Array | undefined {
    return this.find(setHash)?.certificates[index]
  }

  private find(hash: Uint8Array): CommonCertificateSet | undefined {
    return this.sets.find((set) => Buffer.compare(set.hash, hash) === 0)
  }
}

/** The name of a certificate in the first of these sets that has it; undefined if none has. */
export function commonNameOf(
  certificate: Uint8Array,
  sets: readonly CommonCertificateSet[]
): CommonCertificateName | undefined {
  for (const set of sets) {
    const index = set.indexOf(certificate)
    if (index >= 0) return { setHash: set.hash, index }
  }
  return undefined
}

function lengthOf(certificate: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(certificate.length)
  return length
}
