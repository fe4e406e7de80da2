/**
 * The versions that endpoints can speak. To add one, write its object and list it here.
 */
import type { QuicVersion } from './version.js'
import { q034, q035, q036 } from './q034-q036.js'

/** Every version, newest first: the order in which clients offer and servers list them. */
export const supportedVersions: readonly QuicVersion[] = Object.freeze([q036, q035, q034])

const byTag = new Map(supportedVersions.map(version => [version.tag, version]))
const byLabel = new Map(supportedVersions.map(version => [version.label, version]))

/** The version whose tag (little-endian number) stands in a packet, undefined if it is not supported. */
export function versionByTag(tag: number): QuicVersion | undefined {
  return byTag.get(tag)
}

/** The version called `label`, such as `Q036`, undefined if it is not supported. */
export function versionByLabel(label: string): QuicVersion | undefined {
  return byLabel.get(label)
}
