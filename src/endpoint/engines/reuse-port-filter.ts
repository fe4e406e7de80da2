/**
 * The program by which the kernel gives out datagrams to sockets that share a port: classic BPF that finds the
 * connection id in the header of every version and takes it modulo the number of sockets.
 *
 *     first byte   1xxxxxxx  long header: the byte at 5 holds the length of the id at 6, as 8, or as the nibble 5
 *                  01xxxxxx  short header of Q046 and later: the id stands at 1
 *                  00xx1xxx  public header with connection id (through Q043): the id stands at 1
 *                  00110xxx  short header of Q044: the id stands at 1
 *                  else      there is no id to go by
 *
 * See ../../quic/wire/datagram-peek.ts, which reads the same.
 */

/** An instruction of classic BPF, as `struct sock_filter` holds it. */
export interface BpfInstruction {
  readonly code: number
  /** Instructions to skip if the condition holds, and if it does not. */
  readonly jumpTrue: number
  readonly jumpFalse: number
  readonly operand: number
}

/** An answer that no socket has: the kernel goes by its hash of the addresses. */
export const NO_SOCKET = 0xffff_ffff

/** Codes of the instructions in use (linux/bpf_common.h). */
export const BpfCode = {
  LoadLength: 0x80,
  LoadByte: 0x30,
  LoadWord: 0x20,
  And: 0x54,
  Modulo: 0x94,
  XorX: 0xac,
  StoreToX: 0x07,
  JumpEqual: 0x15,
  JumpGreaterOrEqual: 0x35,
  JumpSet: 0x45,
  Return: 0x06,
  ReturnA: 0x16
} as const

const SHORT_ID_OFFSET = 1
const ID_LENGTHS_OFFSET = 5
const LONG_ID_OFFSET = 6
const ID_LENGTH = 8

/** An instruction whose jumps name labels; without any it goes on to the next. */
interface Line {
  readonly label?: string
  readonly code: number
  readonly operand?: number
  readonly then?: string
  readonly otherwise?: string
}

const { LoadLength, LoadByte, LoadWord, And, Modulo, XorX, StoreToX } = BpfCode
const { JumpEqual, JumpGreaterOrEqual, JumpSet, Return, ReturnA } = BpfCode

/** Takes both halves of the id at `offset`, which has been found to lie in the datagram. */
function chooseById(label: string, offset: number, count: number): Line[] {
  return [
    { label, code: LoadWord, operand: offset },
    { code: StoreToX },
    { code: LoadWord, operand: offset + 4 },
    { code: XorX },
    { code: Modulo, operand: count },
    { code: ReturnA }
  ]
}

/**
 * Makes the program.
 *
 * @param count how many sockets there will be
 * @throws RangeError unless it is a whole number from 1 to 65,535
 */
export function reusePortFilter(count: number): BpfInstruction[] {
  if (!Number.isInteger(count) || count < 1 || count > 65_535) {
    throw new RangeError(`expected a number of sockets from 1 to 65535, not ${count}`)
  }
  return assemble([
    // Reading beyond the end would end the program with 0: the first socket would get all that is too short.
    { code: LoadLength },
    { code: JumpGreaterOrEqual, operand: SHORT_ID_OFFSET + ID_LENGTH, otherwise: 'none' },
    { code: LoadByte, operand: 0 },
    { code: JumpSet, operand: 0x80, then: 'long' },
    { code: JumpSet, operand: 0x40 | 0x08, then: 'short' },
    { code: And, operand: 0x30 },
    { code: JumpEqual, operand: 0x30, otherwise: 'none' },
    ...chooseById('short', SHORT_ID_OFFSET, count),
    { label: 'long', code: LoadLength },
    { code: JumpGreaterOrEqual, operand: LONG_ID_OFFSET + ID_LENGTH, otherwise: 'none' },
    { code: LoadByte, operand: ID_LENGTHS_OFFSET },
    { code: JumpEqual, operand: ID_LENGTH, then: 'longId' },
    { code: And, operand: 0xf0 },
    { code: JumpEqual, operand: 0x50, otherwise: 'none' },
    ...chooseById('longId', LONG_ID_OFFSET, count),
    { label: 'none', code: Return, operand: NO_SOCKET }
  ])
}

function assemble(lines: readonly Line[]): BpfInstruction[] {
  const distance = (from: number, label: string | undefined): number =>
    label === undefined ? 0 : lines.findIndex((line) => line.label === label) - from - 1
  return lines.map(({ code, operand = 0, then, otherwise }, i) => ({
    code,
    jumpTrue: distance(i, then),
    jumpFalse: distance(i, otherwise),
    operand
  }))
}

/** The program as the addon takes it. */
export function encodeFilter(program: readonly BpfInstruction[]): Float64Array {
  return Float64Array.from(program.flatMap(({ code, jumpTrue, jumpFalse, operand }) => [code, jumpTrue, jumpFalse, operand]))
}
