/**
 * What handshakes need of cryptography, by node:crypto. HKDF is made of HMAC because the platform's own refuses an `info` over
 * 1024 bytes, and the key schedule's holds a whole client hello.
 */
import { createCipheriv, createDecipheriv, createHmac, createPrivateKey, createPublicKey } from 'node:crypto'
import { createSecretKey, diffieHellman, type KeyObject } from 'node:crypto'
import { BOX_KEY_LENGTH, BOX_NONCE_LENGTH, BOX_TAG_LENGTH, MAX_HKDF_LENGTH, X25519_LENGTH } from './primitives.js'
import { requireLength, type CryptoPrimitives, type GcmBox, type X25519Key } from './primitives.js'

const HASH_LENGTH = 32
const BOX_CIPHER = 'aes-128-gcm'
const zeroSalt = new Uint8Array(HASH_LENGTH)
const nothing = new Uint8Array(0)
const boxOptions = { authTagLength: BOX_TAG_LENGTH }

/** Of every engine that has none of its own. */
export const nodePrimitives: CryptoPrimitives = {
  x25519: (privateKey) => new NodeX25519Key(privateKey),
  hkdfExtract: (salt, keyMaterial) => createHmac('sha256', salt.length === 0 ? zeroSalt : salt).update(keyMaterial).digest(),
  hkdfExpand,
  gcmBox: (key) => new NodeGcmBox(key)
}

function hkdfExpand(pseudorandomKey: Uint8Array, info: readonly Uint8Array[], length: number): Uint8Array {
  if (length > MAX_HKDF_LENGTH) throw new RangeError(`HKDF gives at most ${MAX_HKDF_LENGTH} bytes, not ${length}`)
  const output = new Uint8Array(length)
  const counter = new Uint8Array(1)
  const context = info.length === 1 ? info[0]! : Buffer.concat(info)
  let block: Uint8Array = nothing
  for (let at = 0; at < length; at += HASH_LENGTH) {
    counter[0]!++
    block = createHmac('sha256', pseudorandomKey).update(block).update(context).update(counter).digest()
    output.set(at + HASH_LENGTH <= length ? block : block.subarray(0, length - at), at)
  }
  return output
}

class NodeX25519Key implements X25519Key {
  readonly publicValue: Uint8Array
  readonly #key: KeyObject

  constructor(privateKey: Uint8Array) {
    requireLength('an X25519 private key', privateKey, X25519_LENGTH)
    this.#key = importX25519Private(privateKey)
    const jwk = createPublicKey(this.#key).export({ format: 'jwk' })
    this.publicValue = new Uint8Array(Buffer.from(jwk.x!, 'base64url'))
  }

  sharedSecret(peerPublic: Uint8Array): Uint8Array | undefined {
    if (peerPublic.length !== X25519_LENGTH) return undefined
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

class NodeGcmBox implements GcmBox {
  readonly #key: KeyObject

  constructor(key: Uint8Array) {
    requireLength('a key of boxes', key, BOX_KEY_LENGTH)
    this.#key = createSecretKey(key)
  }

  seal(nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
    requireLength("a box's nonce", nonce, BOX_NONCE_LENGTH)
    const cipher = createCipheriv(BOX_CIPHER, this.#key, nonce, boxOptions)
    return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  }

  open(box: Uint8Array): Uint8Array | undefined {
    const end = box.length - BOX_TAG_LENGTH
    if (end < BOX_NONCE_LENGTH) return undefined
    const decipher = createDecipheriv(BOX_CIPHER, this.#key, box.subarray(0, BOX_NONCE_LENGTH), boxOptions)
    decipher.setAuthTag(box.subarray(end))
    const plaintext = decipher.update(box.subarray(BOX_NONCE_LENGTH, end))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return plaintext
  }
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
