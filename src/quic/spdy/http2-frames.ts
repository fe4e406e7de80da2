/**
 * The HTTP/2 frames of the headers stream: their constants and writers. The parser is in `http2-frame-parser.ts`.
 *
 *   length (24) | type (8) | flags (8) | reserved (1) stream id (31) | payload        all big-endian, RFC 7540 §4.1
 *
 * The stream id is the QUIC stream's. There is no connection preface.
 */
import { weightByteOfPriority } from './priority.js'

export const Http2FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
  ALTSVC: 0xa,
  BLOCKED: 0xb
} as const

export const Http2Flag = { END_STREAM: 0x1, ACK: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const

export const Http2Setting = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6
} as const

/** One entry of SETTINGS: a 16-bit id and a 32-bit value. */
export type Http2SettingEntry = readonly [id: number, value: number]

/** Bytes of a frame header. */
export const HTTP2_FRAME_HEADER_SIZE = 9
/** The most payload bytes accepted in one frame (the default SETTINGS_MAX_FRAME_SIZE). */
export const HTTP2_MAX_PAYLOAD = 16_384

// A sent frame, header included, is at most this long (kMaxControlFrameSize, spdy_protocol.h).
const MAX_SENT_FRAME = 16_383
const MAX_SENT_PAYLOAD = MAX_SENT_FRAME - HTTP2_FRAME_HEADER_SIZE
const PRIORITY_PREFIX = 5

/**
 * HEADERS and, for a block that does not fit, CONTINUATION frames.
 * @param block the whole HPACK block
 * @param priority a SPDY priority 0..7: a client must give one, a server must not (quic_spdy_session.cc)
 */
export function writeHeadersFrames(
  streamId: number,
  block: Uint8Array,
  fin: boolean,
  priority: number | undefined
): Uint8Array {
  const prefix = priority === undefined ? 0 : PRIORITY_PREFIX
  const flags = (fin ? Http2Flag.END_STREAM : 0) | (priority === undefined ? 0 : Http2Flag.PRIORITY)
  const out = allocateBlockFrames(Http2FrameType.HEADERS, flags, streamId, prefix, block)
  // Dependency on stream 0, not exclusive: those four bytes stay zero.
  if (priority !== undefined) out[HTTP2_FRAME_HEADER_SIZE + 4] = weightByteOfPriority(priority)
  return out
}

/**
 * PUSH_PROMISE and, for a block that does not fit, CONTINUATION frames.
 * @param streamId the request's stream
 * @param promisedId the stream that will carry the answer
 */
export function writePushPromise(streamId: number, promisedId: number, block: Uint8Array): Uint8Array {
  const out = allocateBlockFrames(Http2FrameType.PUSH_PROMISE, 0, streamId, 4, block)
  writeUint32(out, HTTP2_FRAME_HEADER_SIZE, promisedId)
  return out
}

/** A DATA frame's header, to be followed by `length` bytes of the stream: forced head-of-line blocking only. */
export function writeDataHeader(out: Uint8Array, streamId: number, length: number, fin: boolean): void {
  writeFrameHeader(out, 0, length, Http2FrameType.DATA, fin ? Http2Flag.END_STREAM : 0, streamId)
}

/** A PRIORITY frame with the weight of a SPDY priority 0..7, depending on stream 0. */
export function writePriorityFrame(streamId: number, priority: number): Uint8Array {
  const out = new Uint8Array(HTTP2_FRAME_HEADER_SIZE + PRIORITY_PREFIX)
  writeFrameHeader(out, 0, PRIORITY_PREFIX, Http2FrameType.PRIORITY, 0, streamId)
  out[HTTP2_FRAME_HEADER_SIZE + 4] = weightByteOfPriority(priority)
  return out
}

/** A SETTINGS frame. */
export function writeSettings(entries: readonly Http2SettingEntry[]): Uint8Array {
  const length = entries.length * 6
  const out = new Uint8Array(HTTP2_FRAME_HEADER_SIZE + length)
  let at = writeFrameHeader(out, 0, length, Http2FrameType.SETTINGS, 0, 0)
  for (const [id, value] of entries) {
    out[at] = id >>> 8
    out[at + 1] = id
    writeUint32(out, at + 2, value)
    at += 6
  }
  return out
}

/** Frames that carry `block` after `prefix` bytes of the first frame's payload, which the caller fills in. */
function allocateBlockFrames(
  type: number,
  flags: number,
  streamId: number,
  prefix: number,
  block: Uint8Array
): Uint8Array {
  const first = Math.min(block.length, MAX_SENT_PAYLOAD - prefix)
  const continuations = Math.ceil((block.length - first) / MAX_SENT_PAYLOAD)
  const out = new Uint8Array(HTTP2_FRAME_HEADER_SIZE * (1 + continuations) + prefix + block.length)
  const last = continuations === 0 ? Http2Flag.END_HEADERS : 0
  let at = writeFrameHeader(out, 0, prefix + first, type, flags | last, streamId) + prefix
  if (last !== 0) {
    out.set(block, at)
    return out
  }
  out.set(block.subarray(0, first), at)
  at += first
  for (let from = first; from < block.length; from += MAX_SENT_PAYLOAD) {
    const part = block.subarray(from, from + MAX_SENT_PAYLOAD)
    const end = from + part.length === block.length ? Http2Flag.END_HEADERS : 0
    at = writeFrameHeader(out, at, part.length, Http2FrameType.CONTINUATION, end, streamId)
    out.set(part, at)
    at += part.length
  }
  return out
}

function writeFrameHeader(
  out: Uint8Array,
  at: number,
  length: number,
  type: number,
  flags: number,
  streamId: number
): number {
  out[at] = length >>> 16
  out[at + 1] = length >>> 8
  out[at + 2] = length
  out[at + 3] = type
  out[at + 4] = flags
  writeUint32(out, at + 5, streamId)
  return at + HTTP2_FRAME_HEADER_SIZE
}

function writeUint32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
}
