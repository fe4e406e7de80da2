/**
 * Header lists: what an HPACK block stands for. Names are lower case, pseudo-headers come first, the order is that of
 * the wire. Names and values are byte strings: one UTF-16 unit holds one octet (latin1), so that any octet survives.
 */

/** One header field. Decoders share these between lists: never change one. */
export type HeaderField = readonly [name: string, value: string]

/** Header fields in wire order, duplicates kept apart. */
export type HeaderList = HeaderField[]

/** What a field costs beyond its octets in table and list sizes (RFC 7541 §4.1, RFC 7540 §6.5.2), in bytes. */
export const FIELD_OVERHEAD = 32

/** The value of the first field of that name (lower case), or undefined. */
export function headerValue(headers: readonly HeaderField[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i++) {
    if (headers[i][0] === name) return headers[i][1]
  }
  return undefined
}

/** The values of all fields of that name (lower case), in wire order. */
export function headerValues(headers: readonly HeaderField[], name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < headers.length; i++) {
    if (headers[i][0] === name) values.push(headers[i][1])
  }
  return values
}

/** Whether the name is a pseudo-header's: begins with a colon (RFC 7540 §8.1.2.1). */
export function isPseudoHeader(name: string): boolean {
  return name.charCodeAt(0) === 0x3a
}

/** The uncompressed size of a list in bytes: octets of names and values and {@link FIELD_OVERHEAD} for each field. */
export function headerListSize(headers: readonly HeaderField[]): number {
  let size = 0
  for (let i = 0; i < headers.length; i++) size += headers[i][0].length + headers[i][1].length + FIELD_OVERHEAD
  return size
}
