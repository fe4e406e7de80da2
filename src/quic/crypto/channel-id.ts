/**
 * Channel IDs: a key of the client's own, on P-256, that identifies it to a server which asks for one, whatever its
 * address (channel_id.cc; quic_crypto_client_config.cc and quic_crypto_server_config.cc for CETV, which hides it from
 * the path). The reference has it through Q036; later versions use the same form here.
 */
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { HandshakeMessage } from '../wire/handshake-message.js'
import { MessageTag, Tag } from '../wire/tags.js'
import { expandKeys } from './key-schedule.js'
import { NodeAeadProvider } from './node-aead.js'
import { PacketBatch, type AeadName } from './protection.js'

const SIGNED_LABEL = Buffer.from('QUIC ChannelID\0client -> server\0', 'latin1')
const CETV_LABEL = Buffer.from('QUIC CETV block\0', 'latin1')
const COORDINATE_LENGTH = 32
/** Coordinates of the public point, one behind the other; likewise the halves of a signature. Bytes. */
const KEY_LENGTH = 2 * COORDINATE_LENGTH

const aeads = new NodeAeadProvider()

/** A client's key. */
export interface ChannelIdKey {
  /** X and Y of the public point, 64 bytes. */
  readonly publicKey: Uint8Array
  /** ECDSA with SHA-256: r and s, 64 bytes. */
  sign(data: Uint8Array): Uint8Array
}

/** Gives a client its key for a server: the same one each time, or the server does not know it again. */
export interface ChannelIdSource {
  /** @returns undefined if there is none, which ends the connection if the server asks for one */
  keyFor(hostname: string): ChannelIdKey | undefined
}

/** A key of node:crypto's. */
export class EcChannelIdKey implements ChannelIdKey {
  readonly publicKey: Uint8Array
  readonly #key: KeyObject

  /** @throws TypeError if it is no private key on P-256 */
  constructor(key: KeyObject) {
    if (key.type !== 'private' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw new TypeError('a Channel ID needs a private EC key on P-256')
    }
    const { x, y } = key.export({ format: 'jwk' })
    this.publicKey = Uint8Array.from(Buffer.concat([x!, y!].map((coordinate) => Buffer.from(coordinate, 'base64url'))))
    this.#key = key
  }

  /** A new key, from the machine's randomness. */
  static generate(): EcChannelIdKey {
    return new EcChannelIdKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  }

  sign(data: Uint8Array): Uint8Array {
    return sign('sha256', data, { key: this.#key, dsaEncoding: 'ieee-p1363' })
  }
}

/** The name of a Channel ID for logs: SHA-256, base64 without padding (GetBase64SHA256ClientChannelID). */
export function channelIdName(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('base64').replace(/=+$/, '')
}

/** What CETV is bound to. All bytes as they were, or will be, on the wire. */
export interface ChannelIdContext {
  readonly aead: AeadName
  /** Of the initial keys, 32 bytes. */
  readonly sharedSecret: Uint8Array
  /** NONC, followed by the server nonce if there is one. */
  readonly salt: Uint8Array
  /** The 8 bytes of the connection that carries the hello. */
  readonly connectionId: Uint8Array
  /** The hello without CETV and padding. */
  readonly chlo: Uint8Array
  /** The SCFG value. */
  readonly serverConfig: Uint8Array
}

/** The value of CETV: key and signature, encrypted for the server. */
export function sealChannelId(key: ChannelIdKey, context: ChannelIdContext): Uint8Array {
  const bound = boundData(context)
  const message = new HandshakeMessage(MessageTag.CETV)
    .set(Tag.CIDK, key.publicKey)
    .set(Tag.CIDS, key.sign(Buffer.concat([SIGNED_LABEL, bound])))
    .serialize()
  const { clientKey, clientIv } = expandKeys(context.sharedSecret, context.salt, [bound], context.aead)
  const sealer = aeads.createSealer(context.aead, clientKey, clientIv)
  const batch = new PacketBatch()
  batch.buffer = new Uint8Array(message.length + sealer.suffixLength)
  batch.buffer.set(message)
  batch.add(0, 0, message.length, 0)
  sealer.seal(batch)
  return batch.buffer
}

/** What {@link openChannelId} finds: the client's key, nothing, or what is wrong in the reference's words. */
export type OpenedChannelId = { readonly publicKey: Uint8Array | undefined } | { readonly problem: string }

/** Decrypts CETV and checks its signature. A block without key or signature names nobody. */
export function openChannelId(cetv: Uint8Array, context: ChannelIdContext): OpenedChannelId {
  const bound = boundData(context)
  const { clientKey, clientIv } = expandKeys(context.sharedSecret, context.salt, [bound], context.aead)
  const buffer = Uint8Array.from(cetv)
  const length = aeads.createOpener(context.aead, clientKey, clientIv).open(buffer, 0, 0, buffer.length, 0)
  if (length < 0) return { problem: 'CETV decryption failure' }
  let message: HandshakeMessage
  try {
    message = HandshakeMessage.parse(buffer.subarray(0, length))
  } catch {
    return { problem: 'CETV parse error' }
  }
  const [publicKey, signature] = [message.get(Tag.CIDK), message.get(Tag.CIDS)]
  if (publicKey === undefined || signature === undefined) return { publicKey: undefined }
  if (!verifyChannelId(publicKey, bound, signature)) return { problem: 'ChannelID signature failure' }
  return { publicKey }
}

/** Whether `signature` is the Channel ID signature of `data` by the key; both are untrusted. */
export function verifyChannelId(publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== KEY_LENGTH || signature.length !== KEY_LENGTH) return false
  const [x, y] = [publicKey.subarray(0, COORDINATE_LENGTH), publicKey.subarray(COORDINATE_LENGTH)].map((coordinate) =>
    Buffer.from(coordinate).toString('base64url')
  ) as [string, string]
  try {
    const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' })
    return verify('sha256', Buffer.concat([SIGNED_LABEL, data]), { key, dsaEncoding: 'ieee-p1363' }, signature)
  } catch {
    return false
  }
}

/** What the keys follow from and what is signed. */
function boundData({ connectionId, chlo, serverConfig }: ChannelIdContext): Uint8Array {
  return Buffer.concat([CETV_LABEL, connectionId, chlo, serverConfig])
}
