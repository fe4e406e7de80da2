/**
 * The little-endian versions with ACK blocks that differ in what endpoints may do, not in a single byte layout.
 */
import { PublicHeaderCodec } from '../public-header.js'
import { ClassicFrameCodec } from './classic-frame-codec.js'
import { hashedVersion } from './hashed-version.js'
import { q034Traits, q035Traits, q036Traits } from './traits.js'
import type { QuicVersion, VersionTraits } from './version.js'

const frames = new ClassicFrameCodec({ bigEndian: false })

function littleEndianVersion(number: number, traits: VersionTraits): QuicVersion {
  return hashedVersion({
    number,
    traits,
    frames,
    labelled: false,
    createHeaderCodec: (versionTag, { diversification }) =>
      new PublicHeaderCodec({ versionTag, bigEndian: false, diversification })
  })
}

/** The oldest version that current Chromium 56 servers accept. */
export const q034 = littleEndianVersion(34, q034Traits)
/** Adds the MIDS stream limit and push by default. */
export const q035 = littleEndianVersion(35, q035Traits)
/** Adds forced head-of-line blocking. */
export const q036 = littleEndianVersion(36, q036Traits)
