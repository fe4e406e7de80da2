/**
 * What handshakes need of cryptography besides packet protection and proofs. Small enough for an engine to supply, because the
 * objects that node:crypto makes for each of these cost more than the arithmetic.
 */

/** Bytes of an X25519 key, private or public, and of a shared secret. */
export const X25519_LENGTH = 32
/** Bytes of a key that boxes are sealed with. */
export const BOX_KEY_LENGTH = 16
/** Bytes of a box's nonce, with which it begins. */
export const BOX_NONCE_LENGTH = 12
/** Bytes of a box's tag, with which it ends. */
export const BOX_TAG_LENGTH = 12
/** The most that HKDF with SHA-256 gives, bytes. */
export const MAX_HKDF_LENGTH = 255 * 32

/** A private key for X25519 (RFC 7748), ready to meet peers. */
export interface X25519Key {
  /** 32 bytes. */
  readonly publicValue: Uint8Array
  /** The 32-byte secret; undefined if the peer's value has not 32 bytes or is a point of small order. */
  sharedSecret(peerPublic: Uint8Array): Uint8Array | undefined
}

/** AES-128-GCM under one key, nonces and all: `nonce(12) | ciphertext | tag(12)`. */
export interface GcmBox {
  /** @param nonce 12 bytes, never the same twice; @throws RangeError if there are more or less */
  seal(nonce: Uint8Array, plaintext: Uint8Array): Uint8Array
  /** The plaintext, undefined if the box is not of this key. */
  open(box: Uint8Array): Uint8Array | undefined
}

/** See the file comment. */
export interface CryptoPrimitives {
  /** @throws RangeError if the key has not 32 bytes */
  x25519(privateKey: Uint8Array): X25519Key
  /** RFC 5869 §2.2 with SHA-256: the 32-byte pseudorandom key. An empty salt stands for 32 zero bytes. */
  hkdfExtract(salt: Uint8Array, keyMaterial: Uint8Array): Uint8Array
  /**
   * RFC 5869 §2.3 with SHA-256: `length` bytes of output.
   *
   * @param info in at most 16 parts, one behind the other
   * @throws RangeError if more than 8160 bytes are asked for
   */
  hkdfExpand(pseudorandomKey: Uint8Array, info: readonly Uint8Array[], length: number): Uint8Array
  /** @param key 16 bytes; @throws RangeError if there are more or less */
  gcmBox(key: Uint8Array): GcmBox
}

/** Lets pass what has so many bytes. @throws RangeError if there are more or less */
export function requireLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${what} has ${length} bytes, not ${bytes.length}`)
}
