/**
 * The Huffman code of RFC 7541 appendix B. The code is canonical, so the lengths alone define it: shorter codes come
 * first, equal lengths in symbol order.
 */

const EOS = 256

// Bits of the code of every octet 0..255 and of EOS, one base-36 digit each.
const LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq' +
  'u'

const codeLengths = Uint8Array.from(LENGTHS, (digit) => Number.parseInt(digit, 36))
const codes = canonicalCodes()

function canonicalCodes(): Uint32Array {
  const assigned = new Uint32Array(EOS + 1)
  let code = 0
  for (let length = 5; length <= 30; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (codeLengths[symbol] === length) assigned[symbol] = code++
    }
    code *= 2
  }
  return assigned
}

/**
 * How many octets the Huffman code of `text` takes.
 * @throws RangeError if a character is no octet (above U+00FF)
 */
export function huffmanLength(text: string): number {
  let bits = 0
  let seen = 0
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    seen |= octet
    bits += codeLengths[octet]
  }
  if (seen > 0xff) throw new RangeError('a header name or value has a character above U+00FF')
  return (bits + 7) >>> 3
}

/** Writes the Huffman code of `text`, octets only, at `out[at]`. Returns where it ends; the caller made room. */
export function huffmanEncode(text: string, out: Uint8Array, at: number): number {
  // Fewer than 8 bits wait in `pending` between symbols, so that a code of up to 24 bits still fits 32.
  let pending = 0
  let count = 0
  for (let i = 0; i < text.length; i++) {
    const octet = text.charCodeAt(i)
    let code = codes[octet]
    let length = codeLengths[octet]
    if (length > 24) {
      pending = (pending << (length - 16)) | (code >>> 16)
      count += length - 16
      while (count >= 8) {
        count -= 8
        out[at++] = pending >>> count
      }
      code &= 0xffff
      length = 16
    }
    pending = (pending << length) | code
    count += length
    while (count >= 8) {
      count -= 8
      out[at++] = pending >>> count
    }
  }
  // The most significant bits of EOS, all ones, fill the last octet (RFC 7541 §5.2).
  if (count > 0) out[at++] = (pending << (8 - count)) | (0xff >>> count)
  return at
}

// The decoder reads half an octet a step. A state is an inner node of the code tree (256 of them, the root is 0). An
// entry is the next state in bits 0..7, the octet that the step completes in bits 8..15, and the two flags below.
const EMIT = 1 << 16
const FAIL = 1 << 17
const transitions = new Uint32Array(256 * 16)
// Whether the bits read since the last octet are legal padding: at most 7, all ones.
const endsWell = new Uint8Array(256)
buildDecoder()

function buildDecoder(): void {
  // children[2 * node + bit]: an inner node if positive, ~symbol if negative, nothing yet if 0.
  const children = new Int32Array(512)
  let nodes = 1
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0
    for (let bit = codeLengths[symbol] - 1; bit > 0; bit--) {
      const slot = 2 * node + ((codes[symbol] >>> bit) & 1)
      if (children[slot] === 0) children[slot] = nodes++
      node = children[slot]
    }
    children[2 * node + (codes[symbol] & 1)] = ~symbol
  }
  for (let state = 0; state < 256; state++) {
    for (let nibble = 0; nibble < 16; nibble++) transitions[state * 16 + nibble] = step(children, state, nibble)
  }
  for (let node = 0, depth = 0; depth < 8; depth++, node = children[2 * node + 1]) endsWell[node] = 1
}

function step(children: Int32Array, state: number, nibble: number): number {
  let node = state
  let entry = 0
  for (let bit = 3; bit >= 0; bit--) {
    const child = children[2 * node + ((nibble >>> bit) & 1)]
    if (child >= 0) {
      node = child
    } else {
      if (~child === EOS) return FAIL
      entry = EMIT | (~child << 8)
      node = 0
    }
  }
  return entry | node
}

/** The most octets that `length` octets of Huffman code can stand for: the shortest code has 5 bits. */
export function huffmanDecodedBound(length: number): number {
  return Math.floor((length * 8) / 5)
}

/**
 * Decodes `input[from, to)` into `out` from 0 on, which has room for {@link huffmanDecodedBound} octets. Returns how
 * many there were, or -1 if the code holds EOS or does not end in legal padding (RFC 7541 §5.2).
 */
export function huffmanDecode(input: Uint8Array, from: number, to: number, out: Uint8Array): number {
  let state = 0
  let length = 0
  for (let i = from; i < to; i++) {
    const octet = input[i]
    const high = transitions[state * 16 + (octet >>> 4)]
    if ((high & EMIT) !== 0) out[length++] = high >>> 8
    const low = transitions[(high & 0xff) * 16 + (octet & 0xf)]
    if ((low & EMIT) !== 0) out[length++] = low >>> 8
    if (((high | low) & FAIL) !== 0) return -1
    state = low & 0xff
  }
  return endsWell[state] === 1 ? length : -1
}
