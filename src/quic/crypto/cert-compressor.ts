/**
 * Compressed certificate chains, as CRT\xff carries them (cert_compressor.cc):
 *
 * ```
 * entries        one a certificate, leaf first: type u8 and what the type adds
 *   1            compressed: nothing
 *   2            cached: hash of the certificate (8 bytes)
 *   3            common: hash of a set (8 bytes), index in it u32
 * end            u8 0
 * if any entry has type 1:
 *   length       u32, bytes of the inflated block, at most 128 KiB
 *   zlib stream  for each entry of type 1: length u32, DER
 * ```
 * The stream's preset dictionary is every certificate that is not in it, last first, and then the common substrings.
 */
import { deflateSync, inflateSync } from 'node:zlib'
import { QuicError, QuicErrorCode } from '../errors.js'
import { ByteReader, ByteWriter, TruncatedError } from '../wire/bytes.js'
import { commonCertificateSubstrings } from './cert-dictionary.js'
import { SET_HASH_LENGTH, type CommonCertificateName, type CommonCertificateSets } from './common-certificates.js'
import { fnv1a64 } from './fnv.js'

const EntryType = { End: 0, Compressed: 1, Cached: 2, Common: 3 } as const

/** The largest inflated block, bytes. */
export const MAX_INFLATED_CHAIN = 128 * 1024
/** More than any real chain: bounds what a verifier is made to parse. */
export const MAX_CHAIN_CERTIFICATES = 64

/** Bytes of a hash that names a cached certificate. */
export const CERTIFICATE_HASH_LENGTH = 8

/** The hash that names a certificate in CCRT, XLCT and compressed chains: FNV-1a, 64 bits, little-endian. */
export function certificateHash(certificate: Uint8Array): Uint8Array {
  const hash = Buffer.alloc(CERTIFICATE_HASH_LENGTH)
  hash.writeBigUInt64LE(fnv1a64(certificate))
  return hash
}

/** How a certificate that the peer has is named: as one that it announced (CCRT), or by its place in a common set. */
export type CertificateName = 'cached' | CommonCertificateName

const everythingIsSent = (): undefined => undefined

/**
 * Compresses a chain (DER, leaf first).
 *
 * @param nameOf how to name a certificate of the chain (its index) that the peer has; undefined for one to be sent
 * @throws RangeError above {@link MAX_CHAIN_CERTIFICATES} certificates or {@link MAX_INFLATED_CHAIN} bytes
 */
export function compressChain(
  chain: readonly Uint8Array[],
  nameOf: (index: number) => CertificateName | undefined = everythingIsSent
): Uint8Array {
  const names = chain.map((_, i) => nameOf(i))
  const sent = chain.filter((_, i) => names[i] === undefined)
  const named = chain.filter((_, i) => names[i] !== undefined)
  const size = inflatedSize(sent)
  if (size > MAX_INFLATED_CHAIN || chain.length > MAX_CHAIN_CERTIFICATES) {
    throw new RangeError(`a certificate chain of ${chain.length} certificates and ${size} bytes is too large`)
  }
  const block = new ByteWriter(false, new Uint8Array(size))
  for (const certificate of sent) {
    block.uint32(certificate.length)
    block.bytes(certificate)
  }
  const stream = size === 0 ? undefined : deflateSync(block.buffer, { dictionary: dictionaryOf(named) })
  const entries = Buffer.concat(chain.map((certificate, i) => entryOf(certificate, names[i])))
  const out = new ByteWriter(false, new Uint8Array(entries.length + 1 + (stream === undefined ? 0 : 4 + stream.length)))
  out.bytes(entries)
  out.uint8(EntryType.End)
  if (stream !== undefined) {
    out.uint32(size)
    out.bytes(stream)
  }
  return out.buffer
}

function entryOf(certificate: Uint8Array, name: CertificateName | undefined): Uint8Array {
  if (name === undefined) return Uint8Array.of(EntryType.Compressed)
  if (name === 'cached') return Buffer.concat([Uint8Array.of(EntryType.Cached), certificateHash(certificate)])
  const entry = new ByteWriter(false, new Uint8Array(1 + SET_HASH_LENGTH + 4))
  entry.uint8(EntryType.Common)
  entry.bytes(name.setHash)
  entry.uint32(name.index)
  return entry.buffer
}

/** What both sides have already: certificates that are not in the stream, the last of the chain first, then the rest. */
function dictionaryOf(notInStream: readonly Uint8Array[]): Uint8Array {
  if (notInStream.length === 0) return commonCertificateSubstrings
  return Buffer.concat([...notInStream].reverse().concat(commonCertificateSubstrings))
}

/** Bytes that a chain takes in the block that is compressed. */
export function inflatedSize(chain: readonly Uint8Array[]): number {
  return chain.reduce((sum, certificate) => sum + 4 + certificate.length, 0)
}

/**
 * The chain (DER, leaf first) that `bytes`, untrusted, stand for.
 *
 * @param known the certificates that CCRT said are here: `bytes` may name them
 * @param common the sets that CCS said are here, likewise
 * @throws QuicError QUIC_INVALID_CRYPTO_MESSAGE_PARAMETER if they stand for none
 */
export function decompressChain(
  bytes: Uint8Array,
  known: readonly Uint8Array[] = [],
  common?: CommonCertificateSets
): Uint8Array[] {
  try {
    const reader = new ByteReader(false, bytes)
    const entries = readEntries(reader, known, common)
    const named = entries.filter((entry) => entry !== undefined)
    const count = entries.length - named.length
    if (count === 0) {
      if (reader.remaining > 0) throw invalid('bytes behind an empty chain')
      return named
    }
    const fromBlock = readBlock(inflateBlock(reader, count, dictionaryOf(named)), count)
    let next = 0
    return entries.map((entry) => entry ?? fromBlock[next++]!)
  } catch (error) {
    if (error instanceof TruncatedError) throw invalid('ends early')
    throw error
  }
}

/** Reads up to the end mark: a known certificate for each entry that names one, undefined for each in the block. */
function readEntries(
  reader: ByteReader,
  known: readonly Uint8Array[],
  common: CommonCertificateSets | undefined
): (Uint8Array | undefined)[] {
  const entries: (Uint8Array | undefined)[] = []
  for (;;) {
    const type = reader.uint8()
    if (type === EntryType.End) return entries
    if (entries.length === MAX_CHAIN_CERTIFICATES) throw invalid(`over ${MAX_CHAIN_CERTIFICATES} certificates`)
    switch (type) {
      case EntryType.Compressed:
        entries.push(undefined)
        break
      case EntryType.Cached:
        entries.push(findKnown(reader.view(CERTIFICATE_HASH_LENGTH), known))
        break
      case EntryType.Common:
        entries.push(findCommon({ setHash: reader.view(SET_HASH_LENGTH), index: reader.uint32() }, common))
        break
      default:
        throw invalid(`entry of unknown type ${type}`)
    }
  }
}

function findKnown(hash: Uint8Array, known: readonly Uint8Array[]): Uint8Array {
  const certificate = known.find((candidate) => Buffer.compare(certificateHash(candidate), hash) === 0)
  if (certificate === undefined) throw invalid('refers to a cached certificate that was not announced')
  return certificate
}

function findCommon(name: CommonCertificateName, common: CommonCertificateSets | undefined): Uint8Array {
  const certificate = common?.certificate(name)
  if (certificate === undefined) throw invalid('refers to a common certificate set that was not announced, or beyond its end')
  return certificate
}

function inflateBlock(reader: ByteReader, count: number, dictionary: Uint8Array): Uint8Array {
  const size = reader.uint32()
  if (size > MAX_INFLATED_CHAIN) throw invalid(`inflates to ${size} bytes, over ${MAX_INFLATED_CHAIN}`)
  if (size < 4 * count) throw invalid(`${size} bytes cannot hold ${count} certificates`)
  const input = reader.view(reader.remaining)
  let inflated: { buffer: Uint8Array; engine: { bytesWritten: number } }
  try {
    // With `info` the engine comes along, which knows how much of the input the stream took.
    inflated = inflateSync(input, {
      dictionary,
      maxOutputLength: size,
      info: true
    }) as unknown as typeof inflated
  } catch {
    throw invalid('the zlib stream is damaged or longer than announced')
  }
  if (inflated.buffer.length !== size) throw invalid(`inflates to ${inflated.buffer.length} bytes, not ${size}`)
  if (inflated.engine.bytesWritten !== input.length) throw invalid('bytes behind the zlib stream')
  return inflated.buffer
}

function readBlock(block: Uint8Array, count: number): Uint8Array[] {
  const reader = new ByteReader(false, block)
  const chain: Uint8Array[] = []
  // Copies, because views would keep the whole block alive with any one certificate.
  for (let i = 0; i < count; i++) chain.push(Uint8Array.from(reader.view(reader.uint32())))
  if (reader.remaining > 0) throw invalid('bytes behind the last certificate')
  return chain
}

function invalid(what: string): QuicError {
  return new QuicError(QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER, `Certificate data invalid: ${what}`)
}
