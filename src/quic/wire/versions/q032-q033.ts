/**
 * The oldest versions: what arrived is proved by entropy, and ACKs list what is missing. Q033 brings diversification.
 */
import { PublicHeaderCodec } from '../public-header.js'
import { ClassicFrameCodec } from './classic-frame-codec.js'
import { hashedVersion } from './hashed-version.js'
import { q032Traits, q033Traits } from './traits.js'
import type { QuicVersion, VersionTraits } from './version.js'

const frames = new ClassicFrameCodec({ bigEndian: false, entropy: true })

function entropyVersion(number: number, traits: VersionTraits): QuicVersion {
  return hashedVersion({
    number,
    traits,
    frames,
    labelled: false,
    createHeaderCodec: (versionTag, { diversification }) =>
      new PublicHeaderCodec({ versionTag, bigEndian: false, diversification })
  })
}

/** Without a diversification nonce, so that servers must not accept a hello twice. */
export const q032 = entropyVersion(32, q032Traits)
/** Adds the diversification nonce. */
export const q033 = entropyVersion(33, q033Traits)
