/**
 * The option that names QUIC versions.
 */
import { InvalidArgumentError } from 'commander'
import { supportedVersions, versionByLabel } from '../quic/wire/versions/registry.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'

const known = supportedVersions.map((version) => version.label).join(', ')

/** Parses `Q036`, `36` or a comma-separated list, preferred first. */
export function parseVersions(text: string): QuicVersion[] {
  return text.split(',').map((part) => {
    const label = part.trim().toUpperCase()
    const version = versionByLabel(/^\d{1,3}$/.test(label) ? `Q${label.padStart(3, '0')}` : label)
    if (version !== undefined) return version
    throw new InvalidArgumentError(`Expected one or several of ${known}, separated by commas.`)
  })
}
