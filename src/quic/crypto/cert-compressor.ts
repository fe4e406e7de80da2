/**
 * Compressed certificate chains, as CRT\xff carries them (cert_compressor.cc):
 *
 * ```
 * entries        one a certificate, leaf first: type u8 (1 compressed | 2 cached | 3 common) and what the type adds
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

const EntryType = { End: 0, Compressed: 1, Cached: 2, Common: 3 } as const

/** The largest inflated block, bytes. */
export const MAX_INFLATED_CHAIN = 128 * 1024
/** More than any real chain: bounds what a verifier is made to parse. */
export const MAX_CHAIN_CERTIFICATES = 64

/**
 * Compresses a chain (DER, leaf first) into the form every peer understands: nothing taken from the peer's cache.
 *
 * @throws RangeError above {@link MAX_CHAIN_CERTIFICATES} certificates or {@link MAX_INFLATED_CHAIN} bytes
 */
export function compressChain(chain: readonly Uint8Array[]): Uint8Array {
  const size = inflatedSize(chain)
  if (size > MAX_INFLATED_CHAIN || chain.length > MAX_CHAIN_CERTIFICATES) {
    throw new RangeError(`a certificate chain of ${chain.length} certificates and ${size} bytes is too large`)
  }
  const block = new ByteWriter(false, new Uint8Array(size))
  for (const certificate of chain) {
    block.uint32(certificate.length)
    block.bytes(certificate)
  }
  const stream = size === 0 ? undefined : deflateSync(block.buffer, { dictionary: commonCertificateSubstrings })
  const out = new ByteWriter(false, new Uint8Array(chain.length + 1 + (stream === undefined ? 0 : 4 + stream.length)))
  out.fill(EntryType.Compressed, chain.length)
  out.uint8(EntryType.End)
  if (stream !== undefined) {
    out.uint32(size)
    out.bytes(stream)
  }
  return out.buffer
}

/** Bytes that a chain takes in the block that is compressed. */
export function inflatedSize(chain: readonly Uint8Array[]): number {
  return chain.reduce((sum, certificate) => sum + 4 + certificate.length, 0)
}

/**
 * The chain (DER, leaf first) that `bytes`, untrusted, stand for.
 *
 * @throws QuicError QUIC_INVALID_CRYPTO_MESSAGE_PARAMETER if they stand for none
 */
export function decompressChain(bytes: Uint8Array): Uint8Array[] {
  try {
    const reader = new ByteReader(false, bytes)
    const count = readEntries(reader)
    if (count === 0) {
      if (reader.remaining > 0) throw invalid('bytes behind an empty chain')
      return []
    }
    return readBlock(inflateBlock(reader, count), count)
  } catch (error) {
    if (error instanceof TruncatedError) throw invalid('ends early')
    throw error
  }
}

/** Reads up to the end mark and returns how many certificates the block holds. */
function readEntries(reader: ByteReader): number {
  let compressed = 0
  for (;;) {
    const type = reader.uint8()
    switch (type) {
      case EntryType.End:
        return compressed
      case EntryType.Compressed:
        if (++compressed > MAX_CHAIN_CERTIFICATES) throw invalid(`over ${MAX_CHAIN_CERTIFICATES} certificates`)
        break
      // A peer may only leave out certificates that CCRT or CCS said are here, and hellos say neither.
      case EntryType.Cached:
        throw invalid('refers to a cached certificate, but none was announced')
      case EntryType.Common:
        throw invalid('refers to a common certificate set, but none was announced')
      default:
        throw invalid(`entry of unknown type ${type}`)
    }
  }
}

function inflateBlock(reader: ByteReader, count: number): Uint8Array {
  const size = reader.uint32()
  if (size > MAX_INFLATED_CHAIN) throw invalid(`inflates to ${size} bytes, over ${MAX_INFLATED_CHAIN}`)
  if (size < 4 * count) throw invalid(`${size} bytes cannot hold ${count} certificates`)
  const input = reader.view(reader.remaining)
  let inflated: { buffer: Uint8Array; engine: { bytesWritten: number } }
  try {
    // With `info` the engine comes along, which knows how much of the input the stream took.
    inflated = inflateSync(input, {
      dictionary: commonCertificateSubstrings,
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
