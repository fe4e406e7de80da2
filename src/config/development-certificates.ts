/**
 * Certificates for development and tests: an authority of one's own, kept in a directory, and server certificates that
 * it signs. Not for the open Internet.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { CertificateError } from '../quic/crypto/proof.js'
import { proofKeyProblem } from '../quic/crypto/proof-signature.js'
import type { Authority, IssuedCertificate, ServerKeyType } from './certificate-issuer.js'

/** The longest validity, days: that of the authority. */
export const MAX_DAYS = 3650
const DEFAULT_DAYS = 365
const PRIVATE_MODE = 0o600
const PUBLIC_MODE = 0o644
const PRIVATE_DIRECTORY_MODE = 0o700
const HOST_NAME = /^(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/
const MS_PER_DAY = 86_400_000

/** What is to be made. */
export interface DevelopmentCertificateOptions {
  /** Made with mode 0700 where it does not exist. */
  dir: string
  /** DNS names (a wildcard as leftmost label is possible) and IP addresses, at least one. */
  hosts: readonly string[]
  /** Of the server's key, `ecdsa` if not given. */
  keyType?: ServerKeyType | undefined
  /** Validity of the server certificate, 1 to 3650, 365 if not given; it never outlives the authority. */
  days?: number | undefined
  /** Replace an existing server certificate and key. The authority is never replaced. */
  force?: boolean | undefined
}

/** What was made, and where it is. */
export interface DevelopmentCertificates {
  /** Clients trust this file. */
  caPath: string
  caKeyPath: string
  /** False if the authority was there already. */
  caCreated: boolean
  /** ISO 8601. */
  caExpires: string
  /** Servers show this file. */
  certPath: string
  keyPath: string
  keyType: ServerKeyType
  hosts: string[]
  /** ISO 8601. */
  expires: string
}

/**
 * Makes `ca.pem`, `ca-key.pem` (unless there), `cert.pem` and `key.pem` in a directory. Files with keys get mode 0600,
 * whatever stood in their place.
 *
 * @throws CertificateError, with what to do: HOST_INVALID, OPTION_INVALID, FILE_EXISTS, FILE_UNWRITABLE, CA_UNREADABLE,
 *   CA_UNUSABLE
 */
export async function createDevelopmentCertificates(
  options: DevelopmentCertificateOptions
): Promise<DevelopmentCertificates> {
  const hosts = checkHosts(options.hosts)
  const days = checkDays(options.days ?? DEFAULT_DAYS)
  const keyType = options.keyType ?? 'ecdsa'
  const [caPath, caKeyPath, certPath, keyPath] = ['ca.pem', 'ca-key.pem', 'cert.pem', 'key.pem'].map((name) =>
    join(options.dir, name)
  ) as [string, string, string, string]

  await makeDirectory(options.dir)
  if (!options.force) await refuseExisting([certPath, keyPath])
  const existing = await readAuthority(caPath, caKeyPath)
  // Loaded late because it is slow to load, and most programs that can make certificates do not.
  const { issueAuthority, issueServerCertificate } = await import('./certificate-issuer.js')
  const authority = existing ?? (await issueAuthority(MAX_DAYS))
  if (existing === undefined) await writePair(caPath, caKeyPath, authority)
  const notAfter = new Date(Math.min(Date.now() + days * MS_PER_DAY, authority.notAfter.getTime()))
  const server = await issueServerCertificate(authority, hosts, keyType, notAfter)
  await writePair(certPath, keyPath, server)
  return {
    caPath,
    caKeyPath,
    caCreated: existing === undefined,
    caExpires: authority.notAfter.toISOString(),
    certPath,
    keyPath,
    keyType,
    hosts,
    expires: server.notAfter.toISOString()
  }
}

function checkHosts(hosts: readonly string[]): string[] {
  const checked = [...new Set(hosts.map((host) => host.replace(/^\[(.*)\]$/, '$1').toLowerCase()))]
  if (checked.length === 0) throw new CertificateError('HOST_INVALID', 'name at least one host')
  for (const host of checked) {
    if (isIP(host) !== 0 || (HOST_NAME.test(host) && host.length <= 253)) continue
    const expected = 'expected a name such as gateway.example, *.gateway.example, or an IP address'
    throw new CertificateError('HOST_INVALID', `"${host}" is no host (${expected}, without port or https://)`)
  }
  return checked
}

function checkDays(days: number): number {
  if (Number.isInteger(days) && days >= 1 && days <= MAX_DAYS) return days
  throw new CertificateError('OPTION_INVALID', `days must be a whole number from 1 to ${MAX_DAYS}`)
}

async function makeDirectory(dir: string): Promise<void> {
  try {
    // One that exists keeps its mode: it may be the current directory, or shared with other things.
    await mkdir(dir, { recursive: true, mode: PRIVATE_DIRECTORY_MODE })
  } catch (error) {
    throw unwritable(`directory ${dir} cannot be made`, error)
  }
}

async function refuseExisting(paths: string[]): Promise<void> {
  for (const path of paths) {
    if ((await readIfThere(path)) === undefined) continue
    throw new CertificateError('FILE_EXISTS', `${path} exists; pass --force to replace it, or --dir for another place`)
  }
}

async function readAuthority(caPath: string, caKeyPath: string): Promise<Authority | undefined> {
  const certificatePem = await readIfThere(caPath)
  const keyPem = await readIfThere(caKeyPath)
  if (certificatePem === undefined && keyPem === undefined) return undefined
  if (certificatePem === undefined || keyPem === undefined) {
    const [there, missing] = certificatePem === undefined ? [caKeyPath, caPath] : [caPath, caKeyPath]
    const remedy = 'bring it back or delete the other'
    throw new CertificateError('CA_UNUSABLE', `${there} is there but ${missing} is not: ${remedy}`)
  }
  const remedy = `delete ${caPath} and ${caKeyPath} to get a new authority`
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(certificatePem)
    const key = createPrivateKey(keyPem)
    if (!certificate.checkPrivateKey(key)) {
      throw new CertificateError('CA_UNUSABLE', `${caKeyPath} does not belong to ${caPath}; ${remedy}`)
    }
    const problem = proofKeyProblem(key)
    if (problem !== undefined) throw new CertificateError('CA_UNUSABLE', `${caKeyPath} is ${problem}; ${remedy}`)
  } catch (error) {
    if (error instanceof CertificateError) throw error
    throw new CertificateError('CA_UNREADABLE', `${caPath} or ${caKeyPath} is damaged; ${remedy}`)
  }
  if (!certificate.ca) throw new CertificateError('CA_UNUSABLE', `${caPath} is no authority's certificate; ${remedy}`)
  const notAfter = new Date(certificate.validTo)
  if (notAfter.getTime() <= Date.now()) {
    throw new CertificateError('CA_UNUSABLE', `${caPath} expired on ${notAfter.toISOString().slice(0, 10)}; ${remedy}`)
  }
  return { certificatePem, keyPem, notAfter }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw unwritable(`${path} cannot be read`, error)
  }
}

async function writePair(certificatePath: string, keyPath: string, pair: IssuedCertificate): Promise<void> {
  await replaceFile(keyPath, pair.keyPem, PRIVATE_MODE)
  await replaceFile(certificatePath, pair.certificatePem, PUBLIC_MODE)
}

/** Writes a new file beside and moves it over: no moment with half of it, nor with the old file's looser mode. */
async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  try {
    await rm(temporary, { force: true })
    await writeFile(temporary, text, { mode, flag: 'wx' })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw unwritable(`${path} cannot be written`, error)
  }
}

function unwritable(what: string, error: unknown): CertificateError {
  return new CertificateError('FILE_UNWRITABLE', `${what}: ${(error as Error).message}`)
}
