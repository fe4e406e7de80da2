/**
 * What handshakes need of cryptography, by the addon: no objects of node:crypto between JavaScript and OpenSSL.
 */
import { BOX_KEY_LENGTH, BOX_NONCE_LENGTH, BOX_TAG_LENGTH, MAX_HKDF_LENGTH, X25519_LENGTH } from '../../quic/crypto/primitives.js'
import { requireLength, type CryptoPrimitives, type GcmBox, type X25519Key } from '../../quic/crypto/primitives.js'
import type { NativeAddon, NativeGcmBox, NativeX25519Key } from './native-addon.js'

const HASH_LENGTH = 32
const BOX_OVERHEAD = BOX_NONCE_LENGTH + BOX_TAG_LENGTH

/** See the file comment. */
export class NativePrimitives implements CryptoPrimitives {
  constructor(private readonly addon: NativeAddon) {}

  x25519(privateKey: Uint8Array): X25519Key {
    requireLength('an X25519 private key', privateKey, X25519_LENGTH)
    return new AddonX25519Key(new this.addon.X25519Key(privateKey))
  }

  hkdfExtract(salt: Uint8Array, keyMaterial: Uint8Array): Uint8Array {
    const out = new Uint8Array(HASH_LENGTH)
    this.addon.hkdfExtract(out, salt, keyMaterial)
    return out
  }

  hkdfExpand(pseudorandomKey: Uint8Array, info: readonly Uint8Array[], length: number): Uint8Array {
    if (length > MAX_HKDF_LENGTH) throw new RangeError(`HKDF gives at most ${MAX_HKDF_LENGTH} bytes, not ${length}`)
    const out = new Uint8Array(length)
    this.addon.hkdfExpand(out, pseudorandomKey, info)
    return out
  }

  gcmBox(key: Uint8Array): GcmBox {
    requireLength('a key of boxes', key, BOX_KEY_LENGTH)
    return new AddonGcmBox(new this.addon.GcmBox(key))
  }
}

class AddonX25519Key implements X25519Key {
  readonly publicValue = new Uint8Array(X25519_LENGTH)

  constructor(private readonly key: NativeX25519Key) {
    key.publicValue(this.publicValue)
  }

  sharedSecret(peerPublic: Uint8Array): Uint8Array | undefined {
    if (peerPublic.length !== X25519_LENGTH) return undefined
    const secret = new Uint8Array(X25519_LENGTH)
    return this.key.derive(peerPublic, secret) ? secret : undefined
  }
}

class AddonGcmBox implements GcmBox {
  constructor(private readonly box: NativeGcmBox) {}

  seal(nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
    requireLength("a box's nonce", nonce, BOX_NONCE_LENGTH)
    const out = new Uint8Array(plaintext.length + BOX_OVERHEAD)
    this.box.seal(nonce, plaintext, out)
    return out
  }

  open(box: Uint8Array): Uint8Array | undefined {
    if (box.length < BOX_OVERHEAD) return undefined
    const plaintext = new Uint8Array(box.length - BOX_OVERHEAD)
    return this.box.open(box, plaintext) ? plaintext : undefined
  }
}
