/**
 * What endpoints of each version may and must do: every step of the ladder says only what it changes.
 * Source: quic_protocol.h and the version tests in quic_connection.cc, quic_session.cc, quic_spdy_session.cc and
 * quic_config.cc, of later QUICHE from Q043 on.
 */
import type { VersionTraits } from './version.js'

export const q032Traits: VersionTraits = {
  entropy: true,
  stopWaiting: true,
  stopWaitingOptional: false,
  acksAckOnlyPackets: true,
  diversification: false,
  rejectsOverlap: true,
  maxIncomingStreamsTag: false,
  pushByDefault: false,
  forcedHolBlocking: false,
  headerListSetting: false,
  priorityFrames: false,
  longHeaders: false,
  statelessReset: false,
  minClientHelloDatagram: 0,
  messageFrames: false,
  cryptoFrames: false,
  cryptoStreamId: 1,
  headersStreamId: 3,
  firstClientStreamId: 5,
  firstServerStreamId: 2
}

export const q033Traits: VersionTraits = { ...q032Traits, diversification: true }

export const q034Traits: VersionTraits = { ...q033Traits, entropy: false }

export const q035Traits: VersionTraits = { ...q034Traits, maxIncomingStreamsTag: true, pushByDefault: true }

export const q036Traits: VersionTraits = { ...q035Traits, forcedHolBlocking: true }

export const q037Traits: VersionTraits = { ...q036Traits, forcedHolBlocking: false }

export const q038Traits: VersionTraits = { ...q037Traits, stopWaitingOptional: true }

export const q039Traits: VersionTraits = { ...q038Traits, acksAckOnlyPackets: false, headerListSetting: true }

export const q043Traits: VersionTraits = { ...q039Traits, rejectsOverlap: false, priorityFrames: true }

export const q044Traits: VersionTraits = {
  ...q043Traits,
  stopWaiting: false,
  stopWaitingOptional: false,
  longHeaders: true,
  statelessReset: true
}

// Google's servers ask for 1200 bytes in Q044 too, but quic-go's clients send less there.
export const q046Traits: VersionTraits = { ...q044Traits, messageFrames: true, minClientHelloDatagram: 1200 }

export const q050Traits: VersionTraits = {
  ...q046Traits,
  cryptoFrames: true,
  cryptoStreamId: -1,
  headersStreamId: 1,
  firstClientStreamId: 3
}
