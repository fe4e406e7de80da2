/**
 * Handshake messages in a form for people, as the inspector and debug logs show them.
 */
import { QuicError } from '../errors.js'
import { Tag, rejectReasonName, tagName } from './tags.js'

/** What a message offers to be described by; {@link HandshakeMessage} is one. */
export interface DescribableMessage {
  readonly tag: number
  readonly tags: readonly number[]
  get(tag: number): Uint8Array | undefined
  text(tag: number): string | undefined
  uint32(tag: number): number | undefined
  uint64(tag: number): number | undefined
  uint32List(tag: number): number[] | undefined
}

const uint32Tags = new Set<number>([
  Tag.ICSL, Tag.SCLS, Tag.MSPC, Tag.MIDS, Tag.TCID, Tag.IRTT, Tag.CFCW, Tag.SFCW, Tag.SRBF, Tag.NCMR, Tag.FHOL
])
const uint64Tags = new Set<number>([Tag.CTIM, Tag.EXPY, Tag.STTL, Tag.RSEQ])
const tagListTags = new Set<number>([Tag.VER, Tag.KEXS, Tag.AEAD, Tag.PDMD, Tag.COPT, Tag.TBKP])
const textTags = new Set<number>([Tag.SNI, Tag.UAID])
const addressTags = new Set<number>([Tag.CADR, Tag.ASAD])

/**
 * A message on several lines: its name, then a value a line, indented. Values are shown as their tag suggests and as
 * hexadecimal digits where they do not have that form.
 *
 * @param parse parses a nested message, throws QuicError if it is none
 * @param indent how deep it stands, in steps of two spaces
 */
export function describeMessage(
  message: DescribableMessage,
  parse: (bytes: Uint8Array) => DescribableMessage,
  indent = 0
): string {
  const lines = [`${'  '.repeat(indent)}${tagName(message.tag)}`]
  for (const tag of message.tags) {
    lines.push(`${'  '.repeat(indent + 1)}${tagName(tag)}:${describeValue(message, tag, parse, indent + 2)}`)
  }
  return lines.join('\n')
}

/** The value with what stands before it: a space, or for a nested message a new line. */
function describeValue(
  message: DescribableMessage,
  tag: number,
  parse: (bytes: Uint8Array) => DescribableMessage,
  indent: number
): string {
  const value = message.get(tag)!
  if (tag === Tag.PAD) return ` ${value.length} bytes of padding`
  try {
    if (uint32Tags.has(tag)) return ` ${message.uint32(tag)}`
    if (uint64Tags.has(tag)) return ` ${message.uint64(tag)}`
    if (tagListTags.has(tag)) return ` ${message.uint32List(tag)!.map(tagName).join(' ')}`
    if (tag === Tag.RREJ) return ` ${message.uint32List(tag)!.map(rejectReasonName).join(' ')}`
    if (textTags.has(tag)) return ` ${JSON.stringify(message.text(tag))}`
    if (addressTags.has(tag)) return ` ${describeAddress(value) ?? hex(value)}`
    if (tag === Tag.SCFG) return `\n${describeMessage(parse(value), parse, indent)}`
  } catch (error) {
    // A value that does not have its tag's form is what a person who inspects wants to see as it is.
    if (!(error instanceof QuicError)) throw error
  }
  return ` ${hex(value)}`
}

/** Family (2 or 10) in 16 bits, address in network order, port in 16 bits (quic_socket_address_coder.cc). */
function describeAddress(value: Uint8Array): string | undefined {
  const family = value[0]! | (value[1]! << 8)
  const port = value[value.length - 2]! | (value[value.length - 1]! << 8)
  if (family === 2 && value.length === 8) return `${value.subarray(2, 6).join('.')}:${port}`
  if (family !== 10 || value.length !== 20) return undefined
  const groups: string[] = []
  for (let i = 2; i < 18; i += 2) groups.push(((value[i]! << 8) | value[i + 1]!).toString(16))
  return `[${groups.join(':')}]:${port}`
}

function hex(value: Uint8Array): string {
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString('hex')
  return value.length === 0 ? '(empty)' : text
}
