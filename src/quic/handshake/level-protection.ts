/**
 * From the keys of one encryption level to what protects packets with them, in the style of the connection's version.
 */
import { diversifyServerKey, type PacketKeys } from '../crypto/key-schedule.js'
import type { AeadName, AeadProvider, HeaderProtector, PacketOpener, PacketSealer } from '../crypto/protection.js'
import type { EncryptionLevel } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'
import type { HandshakeHost } from './handshake.js'

/** One level's keys, bound to an engine. `nonce` diversifies the server's key where the version does so. */
export class LevelProtection {
  /** The server's key as it protects packets, once somebody has needed it. */
  private server: { key: Uint8Array; iv: Uint8Array } | undefined

  constructor(
    private readonly host: {
      readonly version: QuicVersion
      readonly aeadProvider: AeadProvider
      readonly onKeys?: HandshakeHost['onKeys']
    },
    private readonly aead: AeadName,
    private readonly keys: PacketKeys
  ) {}

  clientSealer(): PacketSealer {
    const { clientKey, clientIv, clientHeaderKey } = this.keys
    const { aeadProvider, version } = this.host
    return aeadProvider.createSealer(this.aead, clientKey, clientIv, version.protection, clientHeaderKey)
  }

  clientOpener(): PacketOpener {
    const { clientKey, clientIv, clientHeaderKey } = this.keys
    const { aeadProvider, version } = this.host
    return aeadProvider.createOpener(this.aead, clientKey, clientIv, version.protection, clientHeaderKey)
  }

  serverSealer(nonce?: Uint8Array): PacketSealer {
    const { key, iv } = this.serverKey(nonce)
    const { aeadProvider, version } = this.host
    return aeadProvider.createSealer(this.aead, key, iv, version.protection, this.keys.serverHeaderKey)
  }

  serverOpener(nonce?: Uint8Array): PacketOpener {
    const { key, iv } = this.serverKey(nonce)
    const { aeadProvider, version } = this.host
    return aeadProvider.createOpener(this.aead, key, iv, version.protection, this.keys.serverHeaderKey)
  }

  /** Uncovers the nonce that {@link serverOpener} needs; undefined where headers are not protected. */
  serverHeaderProtector(): HeaderProtector | undefined {
    const { serverHeaderKey } = this.keys
    return serverHeaderKey && this.host.aeadProvider.createHeaderProtector(this.aead, serverHeaderKey)
  }

  /** Whether {@link announce} can tell of the server's key. */
  get serverKeyKnown(): boolean {
    return this.server !== undefined
  }

  /** Tells the host's observers of the keys: the client's, and the server's if it has been made. */
  announce(level: EncryptionLevel): void {
    const { keys, aead, server } = this
    const { clientKey, clientIv, clientHeaderKey, serverHeaderKey } = keys
    const serverHalf = { serverKey: server?.key, serverIv: server?.iv, serverHeaderKey: server && serverHeaderKey }
    this.host.onKeys?.({ level, aead, clientKey, clientIv, clientHeaderKey, ...serverHalf })
  }

  private serverKey(nonce: Uint8Array | undefined): { key: Uint8Array; iv: Uint8Array } {
    const { serverKey, serverIv } = this.keys
    this.server =
      nonce === undefined
        ? { key: serverKey, iv: serverIv }
        : diversifyServerKey(this.aead, serverKey, serverIv, nonce, this.host.aeadProvider.primitives)
    return this.server
  }
}
