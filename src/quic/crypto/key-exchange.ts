/**
 * The two key exchanges of the handshake, X25519 (`C255`, RFC 7748) and ECDH on P-256 (`P256`), from injected random
 * bytes (curve25519_key_exchange.cc, p256_key_exchange.cc).
 */
import { createECDH, type ECDH } from 'node:crypto'
import { nodePrimitives } from './node-primitives.js'
import { X25519_LENGTH, requireLength, type CryptoPrimitives, type X25519Key } from './primitives.js'

/** Key exchanges as KEXS names them. */
export type KeyExchangeName = 'C255' | 'P256'

/** One private key, ready to meet peers. */
export interface KeyExchange {
  readonly name: KeyExchangeName
  /** What PUBS carries: 32 bytes (C255) or an uncompressed point of 65 (P256). */
  readonly publicValue: Uint8Array
  /**
   * The 32-byte secret, or undefined if the peer's value is no valid public value.
   *
   * @param primitives who computes it, where one and the same key serves several engines
   */
  sharedSecret(peerPublic: Uint8Array, primitives?: CryptoPrimitives): Uint8Array | undefined
}

const PRIVATE_KEY_LENGTH = X25519_LENGTH
const UNCOMPRESSED_POINT_LENGTH = 65
const UNCOMPRESSED_POINT = 0x04
// One draw in 2^32 is out of range on P-256: so many in a row mean that the random source is broken.
const MAX_DRAWS = 8

/**
 * A fresh key.
 *
 * @param random gives so many unpredictable bytes
 * @param primitives who computes with it
 * @throws Error if the random source never gives a usable key
 */
export function createKeyExchange(
  name: KeyExchangeName,
  random: (length: number) => Uint8Array,
  primitives: CryptoPrimitives = nodePrimitives
): KeyExchange {
  if (name === 'C255') return new X25519KeyExchange(random(PRIVATE_KEY_LENGTH), primitives)
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
export function keyExchangeFromPrivate(
  name: KeyExchangeName,
  privateKey: Uint8Array,
  primitives: CryptoPrimitives = nodePrimitives
): KeyExchange {
  requireLength(`a ${name} private key`, privateKey, PRIVATE_KEY_LENGTH)
  if (name === 'C255') return new X25519KeyExchange(privateKey, primitives)
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
  readonly privateKey: Uint8Array
  #primitives: CryptoPrimitives
  #key: X25519Key

  constructor(privateKey: Uint8Array, primitives: CryptoPrimitives) {
    this.privateKey = Uint8Array.from(privateKey)
    this.#primitives = primitives
    this.#key = primitives.x25519(this.privateKey)
  }

  get publicValue(): Uint8Array {
    return this.#key.publicValue
  }

  sharedSecret(peerPublic: Uint8Array, primitives = this.#primitives): Uint8Array | undefined {
    if (primitives !== this.#primitives) {
      this.#primitives = primitives
      this.#key = primitives.x25519(this.privateKey)
    }
    return this.#key.sharedSecret(peerPublic)
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
