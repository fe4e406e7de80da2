/**
 * The keys of a capture, ready to open packets with.
 */
import { NodeAeadProvider } from '../quic/crypto/node-aead.js'
import { CLASSIC_PROTECTION, IETF_PROTECTION } from '../quic/crypto/protection.js'
import type { PacketOpener, ProtectionStyle } from '../quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../quic/types.js'
import type { Capture, CapturedConnection, CapturedKeys } from './capture.js'
import { CaptureError } from './capture-error.js'

/** One key to try. */
export interface TrialKey {
  readonly level: EncryptionLevel
  readonly opener: PacketOpener
}

// What obfuscates cleartext (`versionSalt`) is not among them: it follows from the connection id.
const levels: Readonly<Record<string, EncryptionLevel>> = {
  initial: EncryptionLevel.Initial,
  forwardSecure: EncryptionLevel.ForwardSecure
}

/** All keys of a capture, by connection id and sender. */
export class KeyRing {
  readonly provider = new NodeAeadProvider()
  private readonly ready = new Map<string, readonly TrialKey[]>()

  constructor(private readonly capture: Capture) {}

  /**
   * The keys to try on packets that `sender` sent on a connection (hexadecimal id) in a version with this protection.
   * They are made ready when first asked for; those of another protection are passed over.
   *
   * Throws CaptureError for a key that does not fit its AEAD.
   */
  find(connectionId: string, sender: Perspective, style: ProtectionStyle): readonly TrialKey[] {
    const name = `${connectionId} ${sender} ${style.ivLength}`
    let keys = this.ready.get(name)
    if (keys === undefined) {
      const side = sender === Perspective.Client ? 'client' : 'server'
      keys = this.capture.connections
        .filter(connection => connection.connectionId.toLowerCase() === connectionId)
        .flatMap(connection => this.trialKeys(connection, side, style))
      this.ready.set(name, keys)
    }
    return keys
  }

  private trialKeys(connection: CapturedConnection, side: 'client' | 'server', style: ProtectionStyle): TrialKey[] {
    const found = new Map<string, TrialKey>()
    for (const keys of connection.keys) {
      const level = levels[keys.level]
      const key = keys[`${side}Key`]
      const iv = keys[`${side}Iv`]
      // A 0-RTT key that the server never used has a client's half only.
      if (level === undefined || key === undefined || iv === undefined) continue
      if (iv.length === 2 * otherStyle(style).ivLength) continue
      // Both sides may have logged the same key.
      if (found.has(`${key}${iv}`)) continue
      found.set(`${key}${iv}`, { level, opener: this.opener(connection, keys, side, style) })
    }
    return [...found.values()]
  }

  private opener(
    connection: CapturedConnection,
    keys: CapturedKeys,
    side: 'client' | 'server',
    style: ProtectionStyle
  ): PacketOpener {
    const where = `${this.capture.name}: ${keys.level} key of connection ${connection.connectionId}`
    if (!connection.aead) throw new CaptureError('CAPTURE_MALFORMED', `${where}: case.json does not name its aead`)
    const bytes = (hex = ''): Buffer => Buffer.from(hex, 'hex')
    try {
      return this.provider.createOpener(
        connection.aead,
        bytes(keys[`${side}Key`]),
        bytes(keys[`${side}Iv`]),
        style,
        bytes(keys[`${side}Hp`])
      )
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      throw new CaptureError('CAPTURE_MALFORMED', `${where}: ${error.message}; record the capture again`)
    }
  }
}

function otherStyle(style: ProtectionStyle): ProtectionStyle {
  return style === IETF_PROTECTION ? CLASSIC_PROTECTION : IETF_PROTECTION
}
