/**
 * The versions by name. To add one, write its object and list it here.
 */
import type { QuicVersion } from './version.js'
import { q032, q033 } from './q032-q033.js'
import { q034, q035, q036 } from './q034-q036.js'
import { q037, q038, q039, q043 } from './q037-q043.js'
import { q044, q046 } from './q044-q046.js'
import { q050 } from './q050.js'

/** Every version whose packets can be read and written, newest first. */
export const knownVersions: readonly QuicVersion[] = Object.freeze([
  q050, q046, q044, q043, q039, q038, q037, q036, q035, q034, q033, q032
])

/** Those that endpoints can speak, newest first: the order in which clients offer and servers list them. */
export const supportedVersions: readonly QuicVersion[] = knownVersions

const byTag = new Map(supportedVersions.map(version => [version.tag, version]))
const byLabel = new Map(supportedVersions.map(version => [version.label, version]))
const knownByTag = new Map(knownVersions.map(version => [version.tag, version]))
const knownByLabel = new Map(knownVersions.map(version => [version.label, version]))

/** The version whose tag (little-endian number) stands in a packet, undefined if endpoints do not speak it. */
export function versionByTag(tag: number): QuicVersion | undefined {
  return byTag.get(tag)
}

/** The version called `label`, such as `Q036`, undefined if endpoints do not speak it. */
export function versionByLabel(label: string): QuicVersion | undefined {
  return byLabel.get(label)
}

/** Like {@link versionByTag} among {@link knownVersions}. */
export function knownVersionByTag(tag: number): QuicVersion | undefined {
  return knownByTag.get(tag)
}

/** Like {@link versionByLabel} among {@link knownVersions}. */
export function knownVersionByLabel(label: string): QuicVersion | undefined {
  return knownByLabel.get(label)
}
