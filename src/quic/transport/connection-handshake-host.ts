/**
 * Gives a handshake the parts of its connection that it may touch.
 */
import type { ConnectionId } from '../connection-id.js'
import type { AeadProvider, HeaderProtector, PacketOpener, PacketSealer } from '../crypto/protection.js'
import type { HandshakeHost } from '../handshake/handshake.js'
import type { LevelKeys } from '../handshake/level-keys.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import { EncryptionLevel, type Micros, type PeerAddress, type QuicHelper } from '../types.js'
import type { QuicVersion } from '../wire/versions/version.js'
import type { CryptoSendStream } from './crypto-stream.js'
import type { ConnectionObserver } from './observer.js'
import type { DeriveOpener } from './packets/packet-openers.js'
import type { PacketReceiver } from './packets/packet-receiver.js'
import type { PacketSender } from './packets/packet-sender.js'

/** What of the connection itself the host needs. QuicConnection implements it. */
export interface HandshakenConnection {
  readonly connectionId: ConnectionId
  readonly version: QuicVersion
  readonly supportedVersions: readonly QuicVersion[]
  readonly receivedVersionTags: readonly number[] | undefined
  readonly peerAddress: PeerAddress
  readonly currentDatagramLength: number
  readonly helper: QuicHelper
  readonly aeadProvider: AeadProvider
  readonly observer: ConnectionObserver | undefined
  readonly now: Micros
  wake(): void
  neuterUnencryptedPackets(): void
  resendInitialPackets(): void
  restart(connectionId: ConnectionId): void
  applyConfig(config: NegotiatedConfig): void
  applyEncryptionEstablished(): void
  applyHandshakeConfirmed(): void
}

/** The {@link HandshakeHost} of one connection. */
export class ConnectionHandshakeHost implements HandshakeHost {
  constructor(
    private readonly connection: HandshakenConnection,
    private readonly crypto: CryptoSendStream,
    private readonly sender: PacketSender,
    private readonly receiver: PacketReceiver
  ) {}

  get connectionId(): ConnectionId {
    return this.connection.connectionId
  }

  get version(): QuicVersion {
    return this.connection.version
  }

  get supportedVersions(): readonly QuicVersion[] {
    return this.connection.supportedVersions
  }

  get receivedVersionTags(): readonly number[] | undefined {
    return this.connection.receivedVersionTags
  }

  get peerAddress(): PeerAddress {
    return this.connection.peerAddress
  }

  get maxPacketLength(): number {
    return this.sender.assembler.maxPacketLength
  }

  get currentDatagramLength(): number {
    return this.connection.currentDatagramLength
  }

  get helper(): QuicHelper {
    return this.connection.helper
  }

  get aeadProvider(): AeadProvider {
    return this.connection.aeadProvider
  }

  sendHandshakeMessage(message: Uint8Array): void {
    const { observer, now } = this.connection
    observer?.onHandshakeMessage?.(now, true, message)
    this.crypto.write(message, this.sender.level)
    this.connection.wake()
  }

  raiseCryptoLimit(bytes: number): void {
    this.crypto.raiseLimit(bytes)
  }

  setSealer(level: EncryptionLevel, sealer: PacketSealer): void {
    this.sender.assembler.setSealer(level, sealer)
  }

  setSendLevel(level: EncryptionLevel): void {
    this.sender.level = level
    // A hello that begins again: until there are keys once more, nothing but the handshake is sent.
    if (level === EncryptionLevel.None) this.sender.applicationData = false
  }

  setDiversificationNonce(nonce: Uint8Array): void {
    this.sender.diversificationNonce = nonce
  }

  setOpener(level: EncryptionLevel, opener: PacketOpener): void {
    this.receiver.openers.setOnly(level, opener)
    this.receiver.onKeysChanged()
  }

  setAlternativeOpener(level: EncryptionLevel, opener: PacketOpener, latch: boolean): void {
    this.receiver.openers.setAlternative(level, opener, latch)
    this.receiver.onKeysChanged()
  }

  setDiversifiedOpener(level: EncryptionLevel, derive: DeriveOpener, headerProtector?: HeaderProtector): void {
    this.receiver.openers.setDiversified(level, derive, headerProtector)
    this.receiver.onKeysChanged()
  }

  neuterUnencryptedPackets(): void {
    this.connection.neuterUnencryptedPackets()
  }

  resendInitialPackets(): void {
    this.connection.resendInitialPackets()
  }

  restart(connectionId: ConnectionId): void {
    this.connection.restart(connectionId)
  }

  setResetToken(token: Uint8Array): void {
    this.receiver.resetToken = token
  }

  onConfigNegotiated(config: NegotiatedConfig): void {
    const { observer, now } = this.connection
    observer?.onConfigNegotiated?.(now, config)
    this.connection.applyConfig(config)
  }

  onEncryptionEstablished(): void {
    const { observer, now } = this.connection
    observer?.onStateChanged?.(now, 'encrypted')
    this.connection.applyEncryptionEstablished()
  }

  onHandshakeConfirmed(): void {
    const { observer, now } = this.connection
    observer?.onStateChanged?.(now, 'confirmed')
    this.connection.applyHandshakeConfirmed()
  }

  onKeys(keys: LevelKeys): void {
    const { observer, now } = this.connection
    observer?.onKeys?.(now, keys)
  }

  onMessageReceived(message: { serialize(): Uint8Array }): void {
    const { observer, now } = this.connection
    if (observer?.onHandshakeMessage !== undefined) observer.onHandshakeMessage(now, false, message.serialize())
  }
}
