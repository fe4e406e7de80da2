/** HPACK alone: header blocks of repeated requests and responses, against the package hpack.js. */
import hpackJs from 'hpack.js'
import { microsPerCall } from '../calls.mjs'
import { browserRequest, plainRequest, response } from '../messages.mjs'

export const sizes = { blocks: 100_000 }
export const quickSizes = { blocks: 100 }

const TABLE = { table: { maxSize: 4096 } }

const lists = { 'a plain request': plainRequest, 'a browser\'s request': browserRequest, 'a response': response }

export async function* cases({ size }) {
  const { HpackEncoder } = await import('../../dist/quic/spdy/hpack/hpack-encoder.js')
  const { HpackDecoder } = await import('../../dist/quic/spdy/hpack/hpack-decoder.js')
  const side = (name, call) => ({ name, measure: async () => ({ 'CPU µs/block': microsPerCall(size.blocks, call()) }) })

  for (const [what, list] of Object.entries(lists)) {
    yield {
      name: `hpack-encode ${what}`,
      title: `${what} encoded, ${size.blocks} times over one table`,
      sides: [side('quicgate', () => encoding(new HpackEncoder(), list)), side('hpack.js', () => theirEncoding(list))]
    }
    yield {
      name: `hpack-decode ${what}`,
      title: `${what} decoded, ${size.blocks} times over one table`,
      sides: [
        side('quicgate', () => decoding(new HpackEncoder(), new HpackDecoder(), list)),
        side('hpack.js', () => theirDecoding(new HpackEncoder(), list))
      ]
    }
  }
}

function encoding(encoder, list) {
  return () => encoder.encode(list)
}

function theirEncoding(list) {
  const compressor = hpackJs.compressor.create(TABLE)
  const named = list.map(([name, value]) => ({ name, value }))
  return () => {
    compressor.write(named)
    while (compressor.read() !== null);
  }
}

function decoding(encoder, decoder, list) {
  const check = (decoded) => {
    if (decoded.length !== list.length) throw new Error(`${decoded.length} fields instead of ${list.length}`)
  }
  check(decoder.decode(encoder.encode(list)))
  const repeated = encoder.encode(list)
  return () => check(decoder.decode(repeated))
}

function theirDecoding(encoder, list) {
  const decompressor = hpackJs.decompressor.create(TABLE)
  const decode = (block) => {
    decompressor.write(block)
    decompressor.execute()
    let fields = 0
    while (decompressor.read() !== null) fields++
    if (fields !== list.length) throw new Error(`${fields} fields instead of ${list.length}`)
  }
  decode(Buffer.from(encoder.encode(list)))
  const repeated = Buffer.from(encoder.encode(list))
  return () => decode(repeated)
}
