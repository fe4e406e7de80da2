/**
 * The little-endian versions with a public header and ACK blocks: Q034, Q035 and Q036 differ in what endpoints may do,
 * not in a single byte layout.
 * Source: quic_protocol.h and the version tests in quic_session.cc, quic_spdy_session.cc, quic_config.cc.
 */
import { NullOpener, NullSealer } from '../../crypto/null-protection.js'
import { PublicHeaderCodec } from '../public-header.js'
import { ClassicFrameCodec } from './classic-frame-codec.js'
import type { QuicVersion, VersionTraits } from './version.js'
import { tagOf } from '../tags.js'

const q034Traits: VersionTraits = {
  stopWaiting: true,
  diversification: true,
  rejectsOverlap: true,
  maxIncomingStreamsTag: false,
  pushByDefault: false,
  forcedHolBlocking: false,
  cryptoStreamId: 1,
  headersStreamId: 3,
  firstClientStreamId: 5,
  firstServerStreamId: 2
}

const q035Traits: VersionTraits = { ...q034Traits, maxIncomingStreamsTag: true, pushByDefault: true }

const q036Traits: VersionTraits = { ...q035Traits, forcedHolBlocking: true }

const frames = new ClassicFrameCodec({ bigEndian: false })

function littleEndianVersion(number: number, traits: VersionTraits): QuicVersion {
  const label = `Q0${number}`
  const tag = tagOf(label)
  return {
    label,
    number,
    tag,
    header: new PublicHeaderCodec({ versionTag: tag, bigEndian: false, diversification: traits.diversification }),
    frames,
    traits,
    nullSealer: () => new NullSealer(),
    nullOpener: () => new NullOpener()
  }
}

/** The oldest version that current Chromium 56 servers accept. */
export const q034 = littleEndianVersion(34, q034Traits)
/** Adds the MIDS stream limit and push by default. */
export const q035 = littleEndianVersion(35, q035Traits)
/** Adds forced head-of-line blocking. */
export const q036 = littleEndianVersion(36, q036Traits)
