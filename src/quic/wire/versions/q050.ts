/**
 * The last Google version with its own handshake: packets protected as in IETF QUIC, header and all, handshake data in
 * CRYPTO frames, and streams counted without it.
 */
import { deriveInitialKeys, type InitialKeys } from '../../crypto/initial-keys.js'
import { IETF_PROTECTION } from '../../crypto/protection.js'
import type { Perspective } from '../../types.js'
import { ProtectedHeaderCodec } from '../protected-header.js'
import { tagOf } from '../tags.js'
import { ClassicFrameCodec } from './classic-frame-codec.js'
import { q044Frames } from './q044-q046.js'
import { q050Traits } from './traits.js'
import type { CleartextContext, QuicVersion } from './version.js'

const label = 'Q050'
const tag = tagOf(label)

/** Header protection, keys at every level, CRYPTO frames. */
export const q050: QuicVersion = {
  label,
  number: 50,
  tag,
  header: new ProtectedHeaderCodec(tag),
  frames: new ClassicFrameCodec({ ...q044Frames, messages: true, crypto: true }),
  traits: q050Traits,
  protection: IETF_PROTECTION,
  keySelection: 'by-type',
  nullSealer(sender, context) {
    const { key, iv, headerKey } = initialKeysOf(sender, context)
    return context!.aeadProvider.createSealer('AESG', key, iv, IETF_PROTECTION, headerKey)
  },
  nullOpener(sender, context) {
    const { key, iv, headerKey } = initialKeysOf(sender, context)
    return context!.aeadProvider.createOpener('AESG', key, iv, IETF_PROTECTION, headerKey)
  }
}

function initialKeysOf(sender: Perspective, context: CleartextContext | undefined): InitialKeys {
  if (context === undefined) throw new TypeError(`${label} has no cleartext without a connection id`)
  return deriveInitialKeys(sender, context.connectionId.bytes, context.aeadProvider.primitives)
}
