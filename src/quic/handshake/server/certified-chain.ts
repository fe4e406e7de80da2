/**
 * What a handshake needs of a certificate chain again and again, computed once a chain.
 */
import {
  CERTIFICATE_HASH_LENGTH,
  certificateHash,
  compressChain,
  type CertificateName
} from '../../crypto/cert-compressor.js'
import { commonNameOf, type CommonCertificateSet } from '../../crypto/common-certificates.js'
import type { CertifiedKey } from '../../crypto/proof.js'

/** Clients hold the whole chain or its upper end; more kinds than this are compressed anew each time. */
const MAX_FORMS = 16

/** A chain ready for the wire. */
export class CertifiedChain {
  /** The value that XLCT must have: the hash of the leaf, 8 bytes. */
  readonly leafHash: Uint8Array
  private readonly hashes: readonly Uint8Array[]
  /** Compressed chains by how their certificates are named. */
  private readonly forms = new Map<string, Uint8Array>()

  constructor(private readonly chain: readonly Uint8Array[]) {
    this.hashes = chain.map(certificateHash)
    this.leafHash = this.hashes[0]!
  }

  /**
   * The value of CRT for a client.
   *
   * @param cached its CCRT, hashes of 8 bytes: such certificates are only named
   * @param common the common certificate sets that it has as well: so are certificates in them (MatchCerts)
   */
  compressedFor(cached: Uint8Array | undefined, common: readonly CommonCertificateSet[] = []): Uint8Array {
    const names = this.chain.map((certificate, i): CertificateName | undefined => {
      if (cached !== undefined && holds(cached, this.hashes[i]!)) return 'cached'
      return commonNameOf(certificate, common)
    })
    const form = names.map(formOf).join(' ')
    const made = this.forms.get(form)
    if (made !== undefined) return made
    const compressed = compressChain(this.chain, (index) => names[index])
    if (this.forms.size < MAX_FORMS) this.forms.set(form, compressed)
    return compressed
  }
}

function formOf(name: CertificateName | undefined): string {
  if (name === undefined || name === 'cached') return name ?? 'sent'
  return `${Buffer.from(name.setHash).toString('hex')}:${name.index}`
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
