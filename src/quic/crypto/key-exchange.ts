/**
 * The two key exchanges of the handshake, X25519 (`C255`, RFC 7748) and ECDH on P-256 (`P256`), from injected random
 * bytes (curve25519_key_exchange.cc, p256_key_exchange.cc).
 */
import { createECDH, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto'
import type { ECDH, KeyObject } from 'node:crypto'

/** Key exchanges as KEXS names them. */
export type KeyExchangeName = 'C255' | 'P256'

/** One private key, ready to meet peers. */
export interface KeyExchange {
  readonly name: KeyExchangeName
  /** What PUBS carries: 32 bytes (C255) or an uncompressed point of 65 (P256). */
  readonly publicValue: Uint8Array
  /** The 32-byte secret, or undefined if the peer's value is no valid public value. */
  sharedSecret(peerPublic: Uint8Array): Uint8Array | undefined
}

const PRIVATE_KEY_LENGTH = 32
const PUBLIC_VALUE_LENGTH = 32
const UNCOMPRESSED_POINT_LENGTH = 65
const UNCOMPRESSED_POINT = 0x04
// One draw in 2^32 is out of range on P-256: so many in a row mean that the random source is broken.
const MAX_DRAWS = 8

/**
 * A fresh key.
 *
 * @param random gives so many unpredictable bytes
 * @throws Error if the random source never gives a usable key
 */
export function createKeyExchange(name: KeyExchangeName, random: (length: number) => Uint8Array): KeyExchange {
  if (name === 'C255') return new X25519KeyExchange(random(PRIVATE_KEY_LENGTH))
  for (let draw = 0; draw < MAX_DRAWS; draw++) {
    const key = createP256(random(PRIVATE_KEY_LENGTH))
    if (key !== undefined) return key
  }
  throw new Error('the random source gives no valid P-256 key')
}

/**
 * A stored key (32 bytes, big-endian for P-256).
 *
 * @throws RangeError if it is no private key of that exchange
 */
export function keyExchangeFromPrivate(name: KeyExchangeName, privateKey: Uint8Array): KeyExchange {
  if (privateKey.length !== PRIVATE_KEY_LENGTH) {
    throw new RangeError(`a ${name} private key has ${PRIVATE_KEY_LENGTH} bytes, not ${privateKey.length}`)
  }
  if (name === 'C255') return new X25519KeyExchange(privateKey)
  const key = createP256(privateKey)
  if (key === undefined) throw new RangeError('the P256 private key is out of range')
  return key
}

/**
 * The 32 private bytes behind a key exchange made here, to store them.
 *
 * @throws TypeError for another implementation's key exchange
 */
export function privateKeyOf(exchange: KeyExchange): Uint8Array {
  if (exchange instanceof X25519KeyExchange || exchange instanceof P256KeyExchange) return exchange.privateKey
  throw new TypeError('this key exchange keeps its private key to itself')
}

class X25519KeyExchange implements KeyExchange {
  readonly name = 'C255'
  readonly publicValue: Uint8Array
  readonly privateKey: Uint8Array
  readonly #key: KeyObject

  constructor(privateKey: Uint8Array) {
    this.privateKey = Uint8Array.from(privateKey)
    this.#key = importX25519Private(this.privateKey)
    const jwk = createPublicKey(this.#key).export({ format: 'jwk' })
    this.publicValue = new Uint8Array(Buffer.from(jwk.x!, 'base64url'))
  }

  sharedSecret(peerPublic: Uint8Array): Uint8Array | undefined {
    if (peerPublic.length !== PUBLIC_VALUE_LENGTH) return undefined
    let secret: Uint8Array
    try {
      secret = diffieHellman({ privateKey: this.#key, publicKey: importX25519Public(peerPublic) })
    } catch {
      // The library refuses points of small order by itself.
      return undefined
    }
    return isZero(secret) ? undefined : secret
  }
}

class P256KeyExchange implements KeyExchange {
  readonly name = 'P256'
  readonly publicValue: Uint8Array
  readonly privateKey: Uint8Array
  readonly #ecdh: ECDH

  constructor(privateKey: Uint8Array, ecdh: ECDH) {
    this.privateKey = Uint8Array.from(privateKey)
    this.#ecdh = ecdh
    this.publicValue = new Uint8Array(ecdh.getPublicKey())
  }

  sharedSecret(peerPublic: Uint8Array): Uint8Array | undefined {
    // The library would take compressed and hybrid points too; the protocol has only this form.
    if (peerPublic.length !== UNCOMPRESSED_POINT_LENGTH || peerPublic[0] !== UNCOMPRESSED_POINT) return undefined
    try {
      return this.#ecdh.computeSecret(peerPublic)
    } catch {
      return undefined
    }
  }
}

/** Undefined if the bytes are 0 or not below the order of the curve. */
function createP256(privateKey: Uint8Array): P256KeyExchange | undefined {
  const ecdh = createECDH('prime256v1')
  try {
    ecdh.setPrivateKey(privateKey)
  } catch {
    return undefined
  }
  return new P256KeyExchange(privateKey, ecdh)
}

let lastPublic: { readonly value: Uint8Array; readonly key: KeyObject } | undefined

/** A peer's value meets two keys in a row, the server config's and the ephemeral one, so the last one is remembered. */
function importX25519Public(value: Uint8Array): KeyObject {
  if (lastPublic !== undefined && Buffer.compare(lastPublic.value, value) === 0) return lastPublic.key
  // JWK because importing DER takes several times as long.
  const x = Buffer.from(value).toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' })
  lastPublic = { value: Uint8Array.from(value), key }
  return key
}

const PKCS8_X25519_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex')
const unknownPublic = Buffer.alloc(32).toString('base64url')
let jwkNeedsPublic = false

/**
 * A private key from its bytes alone. A JWK also names the public half, which is only known afterwards: up to Node 24
 * that half is not looked at, and a JWK is ten times as fast as PKCS#8; later ones compare it and refuse.
 */
function importX25519Private(privateKey: Uint8Array): KeyObject {
  if (!jwkNeedsPublic) {
    const d = Buffer.from(privateKey).toString('base64url')
    try {
      return createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', d, x: unknownPublic }, format: 'jwk' })
    } catch {
      jwkNeedsPublic = true
    }
  }
  return createPrivateKey({ key: Buffer.concat([PKCS8_X25519_PREFIX, privateKey]), format: 'der', type: 'pkcs8' })
}

function isZero(bytes: Uint8Array): boolean {
  let bits = 0
  for (const byte of bytes) bits |= byte
  return bits === 0
}
