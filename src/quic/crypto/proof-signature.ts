/**
 * The signature over a hello and a server config (quic_crypto_server_config.cc, proof_source_chromium.cc,
 * proof_verifier_chromium.cc).
 */
import { constants, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

const LABEL = Buffer.from('QUIC CHLO and server config signature\0', 'latin1')
const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } as const
/** Shorter RSA keys can be broken with means that exist. */
export const MIN_RSA_BITS = 2048

/** The bytes that PROF signs: label, 32-bit length of the hash, SHA-256 of the whole CHLO, the SCFG value. */
export function signedProofData(chloHash: Uint8Array, serverConfig: Uint8Array): Uint8Array {
  const data = new Uint8Array(LABEL.length + 4 + chloHash.length + serverConfig.length)
  data.set(LABEL)
  data[LABEL.length] = chloHash.length
  data.set(chloHash, LABEL.length + 4)
  data.set(serverConfig, LABEL.length + 4 + chloHash.length)
  return data
}

/**
 * Why a key, public or private, cannot sign proofs, in words that follow "the key is"; undefined if it can. RSA keys
 * sign with RSASSA-PSS (SHA-256, 32 bytes of salt), EC keys on P-256 with ECDSA (SHA-256, DER).
 */
export function proofKeyProblem(key: KeyObject): string | undefined {
  const details = key.asymmetricKeyDetails
  switch (key.asymmetricKeyType) {
    case 'rsa': {
      const bits = details?.modulusLength ?? 0
      return bits >= MIN_RSA_BITS ? undefined : `RSA with ${bits} bits, too short: ${MIN_RSA_BITS} is the least`
    }
    case 'ec':
      if (details?.namedCurve === 'prime256v1') return undefined
      return `on the curve ${details?.namedCurve}; of elliptic curves Google QUIC takes only P-256`
    default:
      return `of type ${key.asymmetricKeyType}; Google QUIC takes RSA or ECDSA on P-256`
  }
}

/** Signs with a private key in which {@link proofKeyProblem} finds no fault. */
export function signProof(key: KeyObject, data: Uint8Array): Uint8Array {
  return sign('sha256', data, key.asymmetricKeyType === 'rsa' ? { key, ...PSS } : { key, dsaEncoding: 'der' })
}

/** Whether an untrusted signature is that of `data`; {@link proofKeyProblem} finds no fault in the public key. */
export function verifyProof(key: KeyObject, data: Uint8Array, signature: Uint8Array): boolean {
  const how = key.asymmetricKeyType === 'rsa' ? { key, ...PSS } : { key, dsaEncoding: 'der' as const }
  try {
    return verify('sha256', data, how, signature)
  } catch {
    return false
  }
}
