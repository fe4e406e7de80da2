/**
 * The later versions with a public header. Q037 labels the cleartext hash with its sender, Q038 makes every byte of
 * padding a frame, Q039 turns packet numbers and frames big-endian, Q043 lets streams overlap and clients prioritize.
 */
import { PublicHeaderCodec } from '../public-header.js'
import { ClassicFrameCodec, type ClassicFrameOptions } from './classic-frame-codec.js'
import { hashedVersion } from './hashed-version.js'
import { q037Traits, q038Traits, q039Traits, q043Traits } from './traits.js'
import type { QuicVersion, VersionTraits } from './version.js'

const bigEndianFrames: ClassicFrameOptions = { bigEndian: true, singleBytePadding: true, noPathClose: true }

function labelledVersion(number: number, traits: VersionTraits, frameOptions: ClassicFrameOptions): QuicVersion {
  const { bigEndian } = frameOptions
  return hashedVersion({
    number,
    traits,
    frames: new ClassicFrameCodec(frameOptions),
    labelled: true,
    createHeaderCodec: (versionTag, { diversification }) =>
      new PublicHeaderCodec({ versionTag, bigEndian, diversification })
  })
}

/** Labels the cleartext hash. */
export const q037 = labelledVersion(37, q037Traits, { bigEndian: false })
/** Adds padding between frames and the option to do without STOP_WAITING. */
export const q038 = labelledVersion(38, q038Traits, { bigEndian: false, singleBytePadding: true })
/** Turns to big-endian; ACKs are no longer acknowledged. */
export const q039 = labelledVersion(39, q039Traits, bigEndianFrames)
/** Adds HTTP/2 PRIORITY, and stream data that overlaps. */
export const q043 = labelledVersion(43, q043Traits, bigEndianFrames)
