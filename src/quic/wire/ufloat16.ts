/**
 * The 16-bit float of ACK delays: 11 bits of mantissa with a hidden bit, 5 bits of exponent, no sign. Values below
 * 4096 stand for themselves. Source: quic_data_writer.cc (WriteUFloat16), quic_data_reader.cc (ReadUFloat16).
 */

/** The largest value; everything above is written as {@link UFLOAT16_INFINITE}. */
export const UFLOAT16_MAX = 0x3ffc0000000

/** The 16 bits that mean "infinite" or "unknown". */
export const UFLOAT16_INFINITE = 0xffff

/** The 16 bits for `value` (at least 0), rounded down to what the format can say; saturates. */
export function encodeUfloat16(value: number): number {
  if (value < 4096) return value < 0 ? 0 : Math.floor(value)
  if (!(value < UFLOAT16_MAX)) return UFLOAT16_INFINITE
  let mantissa = value
  let exponent = 0
  while (mantissa >= 4096) {
    mantissa /= 2
    exponent++
  }
  // The hidden bit counts as one step of the exponent, so adding carries it over.
  return Math.floor(mantissa) + exponent * 2048
}

/** The value of 16 bits; {@link UFLOAT16_MAX} for all ones. */
export function decodeUfloat16(bits: number): number {
  if (bits < 4096) return bits
  const exponent = (bits >>> 11) - 1
  return (bits - exponent * 2048) * 2 ** exponent
}
