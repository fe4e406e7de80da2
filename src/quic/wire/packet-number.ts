/**
 * Packet numbers are written truncated to 1, 2, 4 or 6 bytes and completed by the receiver.
 * Source: quic_packet_creator.cc (UpdatePacketNumberLength), quic_framer.cc (CalculatePacketNumberFromWire).
 */

/** How many numbers there are of so many bytes: raising 2 to a power takes longer than all the rest of completing one. */
const SPANS = Array.from({ length: 7 }, (_, bytes) => 2 ** (8 * bytes))

/** The fewest bytes of 1, 2, 4 and 6 that hold `value`: the widths of packet numbers and ACK fields. */
export function minimalNumberLength(value: number): number {
  if (value < 0x100) return 1
  if (value < 0x10000) return 2
  return value < 0x1_0000_0000 ? 4 : 6
}

/** The two bits that name a width of 1, 2, 4 or 6 bytes in flags and frame types. */
export function numberLengthCode(length: number): number {
  return length === 6 ? 3 : length >>> 1
}

/** The width that two bits name. */
export function numberLengthOfCode(code: number): number {
  return code === 0 ? 1 : code === 1 ? 2 : code === 2 ? 4 : 6
}

/**
 * How many bytes the next packet numbers need so that the receiver completes them rightly whatever is in flight.
 *
 * @param next the number of the next packet
 * @param leastUnacked the smallest number that the peer has not acknowledged
 * @param windowPackets the congestion window in full packets
 */
export function packetNumberLength(next: number, leastUnacked: number, windowPackets: number): number {
  return minimalNumberLength(4 * Math.max(next - leastUnacked, windowPackets))
}

/** The low `length` bytes of a packet number. */
export function truncatePacketNumber(packetNumber: number, length: number): number {
  return packetNumber % SPANS[length]!
}

/**
 * The full packet number: of all that end in `wire`, the one closest to the number after `largest`.
 *
 * @param wire what the header says
 * @param length its width in bytes
 * @param largest the largest packet number that was authenticated so far, 0 at first
 * @returns 0 (an illegal number: drop the packet) or more
 */
export function completePacketNumber(wire: number, length: number, largest: number): number {
  const span = SPANS[length]!
  const expected = largest + 1
  const current = largest - (largest % span) + wire
  const next = current + span
  const previous = current - span
  // Below the first epoch there is no previous one. On a tie the neighbour wins over the current epoch, as there.
  const neighbour = previous >= 0 && expected - previous < next - expected ? previous : next
  return Math.abs(current - expected) < Math.abs(neighbour - expected) ? current : neighbour
}
