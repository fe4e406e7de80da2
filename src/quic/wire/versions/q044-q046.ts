/**
 * The versions with long and short headers under the old protection. They differ in the first byte, and Q046 knows
 * MESSAGE frames.
 */
import { q044FirstByte, q046FirstByte, type FirstByte } from '../first-byte.js'
import { LongHeaderCodec } from '../long-header.js'
import { ClassicFrameCodec, type ClassicFrameOptions } from './classic-frame-codec.js'
import { hashedVersion } from './hashed-version.js'
import { q044Traits, q046Traits } from './traits.js'
import type { QuicVersion, VersionTraits } from './version.js'

/** Frames of Q044. */
export const q044Frames: ClassicFrameOptions = {
  bigEndian: true,
  singleBytePadding: true,
  noPathClose: true,
  ignoresStopWaiting: true
}

function longHeaderVersion(
  number: number,
  traits: VersionTraits,
  frameOptions: ClassicFrameOptions,
  firstByte: FirstByte
): QuicVersion {
  return hashedVersion({
    number,
    traits,
    frames: new ClassicFrameCodec(frameOptions),
    labelled: true,
    createHeaderCodec: versionTag => new LongHeaderCodec(versionTag, firstByte)
  })
}

/** Long and short headers, stateless reset, no STOP_WAITING. */
export const q044 = longHeaderVersion(44, q044Traits, q044Frames, q044FirstByte)
/** The first byte of IETF QUIC; MESSAGE frames. */
export const q046 = longHeaderVersion(46, q046Traits, { ...q044Frames, messages: true }, q046FirstByte)
