import { beforeAll, describe, expect, it } from 'vitest'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import {
  CertificateError,
  StaticProofSource,
  certifiedKeyFromPem,
  signedProofData
} from '../../../src/quic/crypto/proof.js'
import type { CertificateErrorCode, CertifiedKey } from '../../../src/quic/crypto/proof.js'
import { proofKeyProblem, signProof, verifyProof } from '../../../src/quic/crypto/proof-signature.js'
import { makeAuthority, makeCertificate } from '../../helpers/certificates.js'
import type { TestCertificate } from '../../helpers/certificates.js'

const keyOf = ({ pem, keyPem }: TestCertificate) => certifiedKeyFromPem(pem, keyPem)

describe('what a proof signs', () => {
  it('is label, length, hash and server config', () => {
    const data = Buffer.from(signedProofData(new Uint8Array(32).fill(0xaa), Uint8Array.of(1, 2)))
    expect(data.subarray(0, 38).toString('latin1')).toBe('QUIC CHLO and server config signature\0')
    expect(data.subarray(38, 42).toString('hex')).toBe('20000000')
    expect(data.subarray(42).toString('hex')).toBe('aa'.repeat(32) + '0102')
  })
})

describe('certifiedKeyFromPem', () => {
  let ca: TestCertificate
  let ecdsa: TestCertificate
  let rsa: TestCertificate

  beforeAll(async () => {
    ca = await makeAuthority('CA')
    ecdsa = await makeCertificate({ name: 'ecdsa', issuer: ca, hosts: ['a.example'] })
    rsa = await makeCertificate({ name: 'rsa', issuer: ca, hosts: ['a.example'], key: 'rsa2048' })
  })

  function failure(certPem: string, keyPem: string): { code: CertificateErrorCode; message: string } {
    try {
      certifiedKeyFromPem(certPem, keyPem)
    } catch (error) {
      if (error instanceof CertificateError) return { code: error.code, message: error.message }
      throw error
    }
    throw new Error('it was accepted')
  }

  it('keeps the chain in order, whatever text stands between', () => {
    const { chain } = certifiedKeyFromPem(`leaf:\n${ecdsa.pem}\nissuer:\n${ca.pem}`, Buffer.from(ecdsa.keyPem))
    expect(chain).toEqual([ecdsa.der, ca.der])
  })

  it('signs by the kind of the key', () => {
    const data = Buffer.from('signed data')
    for (const certificate of [ecdsa, rsa]) {
      const signature = keyOf(certificate).sign(data)
      const publicKey = createPublicKey(certificate.privateKey)
      expect(verifyProof(publicKey, data, signature)).toBe(true)
      expect(verifyProof(publicKey, Buffer.from('other data'), signature)).toBe(false)
      if (certificate === rsa) expect(signature).toHaveLength(256)
      else expect(signature[0]).toBe(0x30)
    }
  })

  it('takes keys in the older forms too', () => {
    const pkcs1 = rsa.privateKey.export({ format: 'pem', type: 'pkcs1' }).toString()
    const sec1 = ecdsa.privateKey.export({ format: 'pem', type: 'sec1' }).toString()
    expect(certifiedKeyFromPem(rsa.pem, pkcs1).chain).toEqual([rsa.der])
    expect(certifiedKeyFromPem(ecdsa.pem, sec1).chain).toEqual([ecdsa.der])
  })

  it('says what is wrong and what to do', async () => {
    const { pem, keyPem } = ecdsa
    const locked = { format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' } as const
    const encrypted = ecdsa.privateKey.export({ ...locked, type: 'pkcs8' })
    const legacyEncrypted = rsa.privateKey.export({ ...locked, type: 'pkcs1' })
    const p384 = await makeCertificate({ name: 'p384', key: 'P-384' })
    const short = await makeCertificate({ name: 'short', key: 'rsa1024' })
    const ed25519 = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    const damaged = (text: string) => text.replace(/-----\n.{8}/, '-----\nAAAAAAAA')
    const expected: [string, string, CertificateErrorCode, RegExp][] = [
      ['', keyPem, 'CERTIFICATE_UNREADABLE', /holds no certificate \(expected PEM/],
      [keyPem, pem, 'CERTIFICATE_UNREADABLE', /holds a private key; are the two files swapped/],
      [pem + damaged(ca.pem), keyPem, 'CERTIFICATE_UNREADABLE', /certificate 2 of the file is damaged/],
      [ca.pem.repeat(70), keyPem, 'CHAIN_TOO_LARGE', /holds 70 certificates/],
      [pem, '', 'KEY_UNREADABLE', /holds no private key/],
      [pem, ca.pem, 'KEY_UNREADABLE', /holds a certificate; are the two files swapped/],
      [pem, damaged(keyPem), 'KEY_UNREADABLE', /damaged/],
      [pem, encrypted.toString(), 'KEY_ENCRYPTED', /passphrase.*openssl pkey/],
      [rsa.pem, legacyEncrypted.toString(), 'KEY_ENCRYPTED', /passphrase/],
      [p384.pem, p384.keyPem, 'KEY_UNSUPPORTED', /secp384r1.*P-256/],
      [short.pem, short.keyPem, 'KEY_UNSUPPORTED', /RSA with 1024 bits/],
      [pem, ed25519, 'KEY_UNSUPPORTED', /type ed25519/],
      [pem, rsa.keyPem, 'KEY_MISMATCH', /does not belong/],
      [ca.pem + pem, keyPem, 'KEY_MISMATCH', /belongs to certificate 2 of the chain; put that one first/]
    ]
    for (const [certPem, key, code, message] of expected) {
      const failed = failure(certPem, key)
      expect(failed.code).toBe(code)
      expect(failed.message).toMatch(message)
      expect(failed.message).not.toContain('\n')
    }
  })
})

describe('StaticProofSource', () => {
  let first: CertifiedKey
  let wildcard: CertifiedKey
  let exact: CertifiedKey
  let source: StaticProofSource

  beforeAll(async () => {
    first = keyOf(await makeCertificate({ name: 'first', hosts: ['first.example', 'both.example'] }))
    wildcard = keyOf(await makeCertificate({ name: 'wildcard', hosts: ['*.b.example'] }))
    exact = keyOf(await makeCertificate({ name: 'exact', hosts: ['X.b.example', 'both.example'] }))
    source = new StaticProofSource([first, wildcard, exact])
  })

  it('takes the first without a name or for an unknown one', () => {
    expect(source.select(undefined)).toBe(first)
    expect(source.select('other.test')).toBe(first)
    expect(source.select('')).toBe(first)
  })

  it('takes an exact name before a wildcard, in any case', () => {
    expect(source.select('x.b.example')).toBe(exact)
    expect(source.select('x.B.Example.')).toBe(exact)
    expect(source.select('both.example')).toBe(first)
  })

  it('lets a wildcard stand for one label', () => {
    expect(source.select('www.b.example')).toBe(wildcard)
    expect(source.select('b.example')).toBe(first)
    expect(source.select('.b.example')).toBe(first)
    expect(source.select('a.www.b.example')).toBe(first)
  })

  it('needs a certificate', () => {
    expect(() => new StaticProofSource([])).toThrow(RangeError)
  })
})

describe('signatures', () => {
  it('have a salt of exactly 32 bytes with RSA', () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(proofKeyProblem(publicKey)).toBeUndefined()
    const data = Buffer.from('x')
    expect(verifyProof(publicKey, data, signProof(privateKey, data))).toBe(true)
    expect(verifyProof(publicKey, data, new Uint8Array(256))).toBe(false)
    expect(verifyProof(publicKey, data, new Uint8Array(3))).toBe(false)
  })
})
