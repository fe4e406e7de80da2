/**
 * How large packets may be on the path at hand: raised by probes, one that arrives is proof (quic_connection.cc,
 * MaybeSetMtuAlarm, DiscoverMtu, OnPathMtuIncreased), and lowered where large packets go out and nothing comes back.
 *
 * ```
 *   packets sent     100          301                702
 *   probe            101          302                703      then no more
 * ```
 */

/** What COPT MTUH asks for, UDP payload bytes. */
export const MTU_TARGET_HIGH = 1450
/** What COPT MTUL asks for. */
export const MTU_TARGET_LOW = 1430
/** What every path is taken to carry, UDP payload bytes. */
export const SAFE_PACKET_LENGTH = 1200

const FIRST_PROBE_AFTER = 100
const MAX_PROBES = 3
/** Timeouts in a row that make size the suspect: two packets resent at full size went nowhere. */
const RETRANSMISSION_TIMEOUTS = 2
const HANDSHAKE_TIMEOUTS = 3
/** How often a size that was given up for timeouts is tried again: they may have been an outage. */
const MAX_SECOND_CHANCES = 2

/** The size of packets on one connection's path. All sizes are UDP payloads in bytes. */
export class MtuDiscovery {
  /** Probes sent on this path. */
  probesSent = 0
  private target = 0
  private packetsBetween = FIRST_PROBE_AFTER
  private nextProbeAt = FIRST_PROBE_AFTER
  /** The size before the last raise: where to go back to first. */
  private previous = 0
  /** The size before the first raise, 0 if there was none. */
  private unprobed = 0
  private secondChances = 0
  /** The system refused more: that a larger packet arrives, which it took before, says nothing of what may go now. */
  private ceiling = Infinity

  /** Looks for this size from now on; 0 for never. */
  setTarget(size: number): void {
    this.target = size
  }

  /** The size of the probe to send now, 0 for none. `largestSent` is the packet number sent last. */
  probeSize(largestSent: number, current: number): number {
    if (this.target <= current || this.probesSent >= MAX_PROBES) return 0
    return largestSent >= this.nextProbeAt ? this.target : 0
  }

  /** A probe goes out after packet `largestSent`. */
  onProbeSent(largestSent: number): void {
    this.packetsBetween *= 2
    this.nextProbeAt = largestSent + this.packetsBetween + 1
    this.probesSent++
  }

  /** A packet of `size` arrived. @returns the size to send from now on */
  onPacketAcked(size: number, current: number): number {
    if (size <= current || size > this.ceiling) return current
    this.previous = current
    if (this.unprobed === 0) this.unprobed = current
    return size
  }

  /**
   * Timeouts in a row without an answer; `largestSent` is the packet number sent last.
   * @returns the size to send from now on: the one before the last raise, then {@link SAFE_PACKET_LENGTH}
   */
  onTimeouts(retransmission: number, handshake: number, largestSent: number, current: number): number {
    if (handshake >= HANDSHAKE_TIMEOUTS) return Math.min(current, SAFE_PACKET_LENGTH)
    if (retransmission < RETRANSMISSION_TIMEOUTS) return current
    const size = this.stepDown(current)
    if (size < current && this.secondChances < MAX_SECOND_CHANCES) {
      this.secondChances++
      this.target = Math.max(this.target, current)
      this.restart(largestSent)
    }
    return size
  }

  /** The system refused a packet of this size. @returns the size to send from now on */
  onTooBig(size: number, current: number): number {
    this.target = 0
    const next = size > current ? current : this.stepDown(current)
    this.ceiling = Math.min(this.ceiling, size > current ? size - 1 : next)
    return next
  }

  /** The path is another one: what was learned is void. @returns the size to begin with */
  onPathChanged(largestSent: number, current: number): number {
    const size = this.unprobed > 0 ? Math.min(current, this.unprobed) : current
    this.previous = 0
    this.unprobed = 0
    this.secondChances = 0
    this.ceiling = Infinity
    this.restart(largestSent)
    return size
  }

  private restart(largestSent: number): void {
    this.probesSent = 0
    this.packetsBetween = FIRST_PROBE_AFTER
    this.nextProbeAt = largestSent + FIRST_PROBE_AFTER
  }

  private stepDown(current: number): number {
    if (this.previous > 0 && this.previous < current) return this.previous
    return Math.min(current, SAFE_PACKET_LENGTH)
  }
}
