/**
 * The parts of a certificate that decide about its use and that the platform does not tell (RFC 5280 §4.1, §4.2).
 */

/** An object identifier as the hex of its DER content. */
type Oid = string

/** What {@link readCertificateFields} finds. `undefined` means that the extension is not there. */
export interface CertificateFields {
  signatureAlgorithm: Oid
  /** How many more CA certificates may stand below this one. */
  pathLength: number | undefined
  /** Key usage. */
  digitalSignature: boolean | undefined
  certificateSigning: boolean | undefined
  /** Extended key usage. */
  purposes: readonly Oid[] | undefined
  /** An extension that must not be ignored and that nothing here enforces. */
  unenforced: Oid | undefined
}

export const SERVER_AUTHENTICATION: Oid = '2b06010505070301'
export const ANY_PURPOSE: Oid = '551d2500'
export const NAME_CONSTRAINTS: Oid = '551d1e'

const BASIC_CONSTRAINTS: Oid = '551d13'
const KEY_USAGE: Oid = '551d0f'
const EXTENDED_KEY_USAGE: Oid = '551d25'
// Enforced elsewhere (alternative names), or without effect where no policy is asked for.
const HARMLESS = new Set<Oid>(['551d11', '551d20', '551d21', '551d24', '551d36'])

/** SHA-2 with RSA (PKCS #1 v1.5 and PSS) or ECDSA, and the Edwards curves. SHA-1 and MD5 can be forged. */
const SOUND_SIGNATURES = new Set<Oid>([
  '2a864886f70d01010b',
  '2a864886f70d01010c',
  '2a864886f70d01010d',
  '2a864886f70d01010a',
  '2a8648ce3d040302',
  '2a8648ce3d040303',
  '2a8648ce3d040304',
  '2b6570',
  '2b6571'
])

/** Whether certificates may be signed with this algorithm. */
export function isSoundSignature(algorithm: Oid): boolean {
  return SOUND_SIGNATURES.has(algorithm)
}

const Tag = { Boolean: 0x01, Extensions: 0xa3 } as const

interface Element {
  tag: number
  /** Content. */
  bytes: Uint8Array
}

/**
 * Reads the fields of a DER certificate that the platform has parsed before.
 *
 * @throws RangeError if it is no certificate
 */
export function readCertificateFields(der: Uint8Array): CertificateFields {
  const [body, algorithm] = elements(first(der))
  if (body === undefined || algorithm === undefined) throw new RangeError('a certificate has three parts')
  const fields: CertificateFields = {
    signatureAlgorithm: hex(first(algorithm.bytes)),
    pathLength: undefined,
    digitalSignature: undefined,
    certificateSigning: undefined,
    purposes: undefined,
    unenforced: undefined
  }
  const extensions = elements(body.bytes).find((element) => element.tag === Tag.Extensions)
  if (extensions === undefined) return fields
  for (const extension of elements(first(extensions.bytes))) readExtension(extension.bytes, fields)
  return fields
}

function readExtension(bytes: Uint8Array, fields: CertificateFields): void {
  const parts = elements(bytes)
  if (parts.length < 2) throw new RangeError('an extension has a name and a value')
  const oid = hex(parts[0]!.bytes)
  const critical = parts[1]!.tag === Tag.Boolean && parts[1]!.bytes[0] !== 0
  const value = parts.at(-1)!.bytes
  switch (oid) {
    case BASIC_CONSTRAINTS: {
      // SEQUENCE { cA BOOLEAN, pathLength INTEGER }, both optional: without the former there cannot be the latter.
      const length = elements(first(value))[1]
      fields.pathLength = length?.bytes.reduce((sum, byte) => sum * 256 + byte, 0)
      break
    }
    case KEY_USAGE: {
      // A BIT STRING: the number of unused bits, then the bits, first one highest.
      const bits = first(value)[1] ?? 0
      fields.digitalSignature = (bits & 0x80) !== 0
      fields.certificateSigning = (bits & 0x04) !== 0
      break
    }
    case EXTENDED_KEY_USAGE:
      fields.purposes = elements(first(value)).map((purpose) => hex(purpose.bytes))
      break
    default:
      if (oid === NAME_CONSTRAINTS || (critical && !HARMLESS.has(oid))) fields.unenforced = oid
  }
}

/** The DER elements that follow one another in `bytes`. */
function elements(bytes: Uint8Array): Element[] {
  const found: Element[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!
    let length = bytes[at + 1] ?? 0
    at += 2
    if (length >= 0x80) {
      const lengthBytes = length & 0x7f
      length = 0
      for (let i = 0; i < lengthBytes; i++) length = length * 256 + (bytes[at + i] ?? 0)
      at += lengthBytes
    }
    if (at + length > bytes.length) throw new RangeError('a DER element is longer than what holds it')
    found.push({ tag, bytes: bytes.subarray(at, at + length) })
    at += length
  }
  return found
}

/** The content of the first element in `bytes`. */
function first(bytes: Uint8Array): Uint8Array {
  const [element] = elements(bytes)
  if (element === undefined) throw new RangeError('a DER element is missing')
  return element.bytes
}

function hex(bytes: Uint8Array): Oid {
  return Buffer.from(bytes).toString('hex')
}
