/**
 * What the versions through Q046 have in common: cleartext under a hash, AEADs with short tags, and keys that have to
 * be tried.
 */
import { NullOpener, NullSealer } from '../../crypto/null-protection.js'
import { CLASSIC_PROTECTION } from '../../crypto/protection.js'
import { Perspective } from '../../types.js'
import { tagOf } from '../tags.js'
import type { FrameCodec, HeaderCodec, QuicVersion, VersionTraits } from './version.js'

/** What distinguishes one of them. */
export interface HashedVersionParts {
  number: number
  traits: VersionTraits
  frames: FrameCodec
  /** Whether the hash covers the sender's name (from Q037). */
  labelled: boolean
  createHeaderCodec(versionTag: number, traits: VersionTraits): HeaderCodec
}

const NO_LABEL = new Uint8Array(0)
const labels: Readonly<Record<Perspective, Uint8Array>> = {
  [Perspective.Client]: Buffer.from('Client', 'latin1'),
  [Perspective.Server]: Buffer.from('Server', 'latin1')
}

/** The version of these parts. */
export function hashedVersion(parts: HashedVersionParts): QuicVersion {
  const { number, traits, frames, labelled } = parts
  const label = `Q0${number}`
  const tag = tagOf(label)
  const labelOf = (sender: Perspective): Uint8Array => (labelled ? labels[sender] : NO_LABEL)
  return {
    label,
    number,
    tag,
    header: parts.createHeaderCodec(tag, traits),
    frames,
    traits,
    protection: CLASSIC_PROTECTION,
    keySelection: 'trial',
    nullSealer: sender => new NullSealer(labelOf(sender)),
    nullOpener: sender => new NullOpener(labelOf(sender))
  }
}
