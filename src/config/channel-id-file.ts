/** A client's Channel ID key in a file of its own. */
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { EcChannelIdKey, type ChannelIdSource } from '../quic/crypto/channel-id.js'
import { CertificateError } from '../quic/crypto/proof.js'

/** Whoever else may read the file can pose as this client. */
const OTHERS = 0o077

/**
 * The key in a PEM file, for every server that asks: they can tell by it that they talk to the same client. A file that
 * is not there is made (0600), with a new key.
 *
 * @throws CertificateError KEY_UNREADABLE, KEY_UNSUPPORTED, FILE_UNWRITABLE, with the file's name and what to do
 */
export function channelIdFromFile(file: string): ChannelIdSource {
  const key = readKey(file) ?? makeKey(file)
  return { keyFor: () => key }
}

function readKey(file: string): EcChannelIdKey | undefined {
  const what = `Channel ID key ${file}`
  let pem: Buffer
  try {
    pem = readFileSync(file)
    if ((statSync(file).mode & OTHERS) !== 0) {
      throw new CertificateError('KEY_UNREADABLE', `${what} is open to other users; make it private: chmod 600 ${file}`)
    }
  } catch (error) {
    if (error instanceof CertificateError) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    throw new CertificateError('KEY_UNREADABLE', `${what} cannot be read (${code})`)
  }
  try {
    return new EcChannelIdKey(createPrivateKey(pem))
  } catch {
    const remedy = 'expected an EC private key on P-256, PEM, unencrypted; remove the file to have one made'
    throw new CertificateError('KEY_UNSUPPORTED', `${what}: ${remedy}`)
  }
}

function makeKey(file: string): EcChannelIdKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  try {
    writeFileSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new CertificateError('FILE_UNWRITABLE', `Channel ID key ${file} cannot be made (${code}); name a file in a directory that this user may write`)
  }
  return new EcChannelIdKey(privateKey)
}
