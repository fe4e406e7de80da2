/**
 * What a handshake needs of a certificate chain again and again, computed once a chain.
 */
import { compressChain } from '../../crypto/cert-compressor.js'
import { fnv1a64 } from '../../crypto/fnv.js'
import type { CertifiedKey } from '../../crypto/proof.js'

/** A chain ready for the wire. */
export interface CertifiedChain {
  /** The value of CRT. */
  readonly compressed: Uint8Array
  /** The value that XLCT must have: the hash of the leaf, 8 bytes. */
  readonly leafHash: Uint8Array
}

const chains = new WeakMap<CertifiedKey, CertifiedChain>()

/** The compressed chain and leaf hash of a key. The work is done at the first call for that key. */
export function certifiedChain(key: CertifiedKey): CertifiedChain {
  const known = chains.get(key)
  if (known !== undefined) return known
  const leafHash = Buffer.alloc(8)
  leafHash.writeBigUInt64LE(fnv1a64(key.chain[0]!))
  const chain = { compressed: compressChain(key.chain), leafHash }
  chains.set(key, chain)
  return chain
}
