/** Where the common certificate sets of a client or a server come from. */
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { CommonCertificateSet, CommonCertificateSets, MAX_COMMON_SETS } from '../quic/crypto/common-certificates.js'
import { splitPemCertificates } from '../quic/crypto/pem.js'
import { CertificateError } from '../quic/crypto/proof.js'
import { ConfigFiles } from './config-files.js'

const PEM_FILE = /\.(?:pem|crt)$/i

/**
 * The sets that a person names: each PEM file is a set, a directory stands for the `.pem` and `.crt` files in it. Both
 * ends have to have the same certificates in a set, in whatever order.
 *
 * @param disk where they are read
 * @throws CertificateError COMMON_UNREADABLE, with the path's name
 */
export function loadCommonCertificates(paths: readonly string[], disk = new ConfigFiles()): CommonCertificateSets {
  const files = paths.flatMap((path) => filesOf(path, disk))
  if (files.length > MAX_COMMON_SETS) {
    const found = `${files.length} files of common certificates`
    throw unreadable(`${found}: a client can name ${MAX_COMMON_SETS} sets at most; put certificates together in fewer files`)
  }
  return new CommonCertificateSets(files.map((file) => readSet(file, disk)))
}

function filesOf(path: string, disk: ConfigFiles): string[] {
  const what = `common certificates ${path}`
  try {
    if (!disk.isDirectory(path)) return [path]
    const files = disk.list(path).filter((name) => PEM_FILE.test(name))
    if (files.length > 0) return files.sort().map((name) => join(path, name))
  } catch (error) {
    throw unreadable(`${what} cannot be read (${(error as NodeJS.ErrnoException).code}): name a PEM file, or a directory of such`)
  }
  throw unreadable(`${what}: the directory holds no .pem or .crt file; each is one set`)
}

function readSet(file: string, disk: ConfigFiles): CommonCertificateSet {
  const what = `common certificates ${file}`
  let text: string
  try {
    text = disk.read(file).toString('latin1')
  } catch (error) {
    throw unreadable(`${what} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  const blocks = splitPemCertificates(text)
  if (blocks.length === 0) throw unreadable(`${what}: no certificate (expected PEM with -----BEGIN CERTIFICATE-----)`)
  return new CommonCertificateSet(
    blocks.map((block, i) => {
      try {
        return new Uint8Array(new X509Certificate(block).raw)
      } catch {
        throw unreadable(`${what}: certificate ${i + 1} is damaged`)
      }
    })
  )
}

function unreadable(message: string): CertificateError {
  return new CertificateError('COMMON_UNREADABLE', message)
}
