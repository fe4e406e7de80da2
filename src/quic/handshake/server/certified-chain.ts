/**
 * What a handshake needs of a certificate chain again and again, computed once a chain.
 */
import { CERTIFICATE_HASH_LENGTH, certificateHash, compressChain } from '../../crypto/cert-compressor.js'
import type { CertifiedKey } from '../../crypto/proof.js'

/** Clients hold the whole chain or its upper end; more kinds than this are compressed anew each time. */
const MAX_FORMS = 8

/** A chain ready for the wire. */
export class CertifiedChain {
  /** The value that XLCT must have: the hash of the leaf, 8 bytes. */
  readonly leafHash: Uint8Array
  private readonly hashes: readonly Uint8Array[]
  /** Compressed chains by which certificates are left out. */
  private readonly forms = new Map<string, Uint8Array>()

  constructor(private readonly chain: readonly Uint8Array[]) {
    this.hashes = chain.map(certificateHash)
    this.leafHash = this.hashes[0]!
  }

  /** The value of CRT for a client whose CCRT, hashes of 8 bytes, is `cached`. */
  compressedFor(cached: Uint8Array | undefined): Uint8Array {
    const known = this.hashes.map((hash) => cached !== undefined && holds(cached, hash))
    const form = known.map(Number).join('')
    const made = this.forms.get(form)
    if (made !== undefined) return made
    const compressed = compressChain(this.chain, (index) => known[index]!)
    if (this.forms.size < MAX_FORMS) this.forms.set(form, compressed)
    return compressed
  }
}

function holds(list: Uint8Array, hash: Uint8Array): boolean {
  for (let at = 0; at + CERTIFICATE_HASH_LENGTH <= list.length; at += CERTIFICATE_HASH_LENGTH) {
    if (Buffer.compare(list.subarray(at, at + CERTIFICATE_HASH_LENGTH), hash) === 0) return true
  }
  return false
}

const chains = new WeakMap<CertifiedKey, CertifiedChain>()

/** The chain of a key. The work is done at the first call for that key. */
export function certifiedChain(key: CertifiedKey): CertifiedChain {
  const known = chains.get(key)
  if (known !== undefined) return known
  const chain = new CertifiedChain(key.chain)
  chains.set(key, chain)
  return chain
}
