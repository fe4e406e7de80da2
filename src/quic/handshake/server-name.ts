/**
 * Which names may stand in SNI (crypto_utils.cc, IsValidSNI; net/base/url_util.cc, IsCanonicalizedHostCompliant).
 */

const MAX_NAME_LENGTH = 255
// Every label begins with a letter, digit, hyphen or underscore; one dot at the end is fine.
const NAME = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?$/i
const LAST_LABEL = /([^.]+)\.?$/
// As URLs have it, a host whose last label is a number is an IPv4 address, well-formed or not.
const NUMBER = /^(?:[0-9]+|0x[0-9a-f]*)$/i

/** Whether `name` is a DNS name that SNI may carry: not an IP address, only host name characters, and with a dot. */
export function isValidServerName(name: string): boolean {
  if (name.length > MAX_NAME_LENGTH || !name.includes('.') || !NAME.test(name)) return false
  const last = LAST_LABEL.exec(name)![1]!
  return /^[a-z0-9]/i.test(last) && !NUMBER.test(last)
}

/** The name in lower case, without dots at its end. */
export function normalizeServerName(name: string): string {
  return name.toLowerCase().replace(/\.+$/, '')
}
