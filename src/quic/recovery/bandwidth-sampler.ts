/**
 * How fast the path delivers, measured packet by packet: the lesser of the rate at which data was sent and the rate at
 * which it was acknowledged, over the time a packet was under way (bandwidth_sampler.cc; section 3 of the BBR delivery
 * rate draft). Rates in bytes a microsecond.
 */
import type { Micros } from '../types.js'

const INITIAL_CAPACITY = 64

/** What one acknowledged packet tells. Reused by the next one. */
export interface BandwidthSample {
  /** Bytes a microsecond; 0 if this packet gives none. */
  bandwidth: number
  /** Not corrected for the peer's delay; 0 if this packet gives none. */
  rtt: Micros
  /** The sender had too little to send when the packet left, so the path may be faster than this. */
  applicationLimited: boolean
}

/** Remembers, for each packet in flight, where the connection stood when it left: a ring indexed by packet number. */
export class BandwidthSampler {
  totalBytesAcked = 0
  applicationLimited = false
  private readonly sample: BandwidthSample = { bandwidth: 0, rtt: 0, applicationLimited: false }
  private totalBytesSent = 0
  private totalSentAtLastAck = 0
  private lastAckedSentTime: Micros = 0
  private lastAckTime: Micros = 0
  private lastSent = 0
  private endOfLimitedPhase = 0
  /** No packet below is tracked. */
  private floor = 0
  private mask = INITIAL_CAPACITY - 1
  private columns = makeColumns(INITIAL_CAPACITY)

  /** Packets tracked now, for tests. Costs a walk over the ring. */
  get trackedCount(): number {
    let count = 0
    for (const packetNumber of this.columns.packetNumbers) if (packetNumber >= this.floor && packetNumber > 0) count++
    return count
  }

  /**
   * A congestion-controlled packet goes out.
   * @param bytesInFlight before it
   */
  onPacketSent(now: Micros, packetNumber: number, bytes: number, bytesInFlight: number): void {
    this.lastSent = packetNumber
    this.totalBytesSent += bytes
    if (bytesInFlight === 0) {
      // A new flight begins here, as if everything before had been acknowledged this moment: too slow rather than none.
      this.lastAckTime = now
      this.totalSentAtLastAck = this.totalBytesSent
      this.lastAckedSentTime = now
      this.floor = packetNumber
    } else if (this.floor === 0) {
      this.floor = packetNumber
    }
    while (packetNumber - this.floor >= this.mask + 1) this.grow()
    const { columns } = this
    const slot = packetNumber & this.mask
    columns.packetNumbers[slot] = packetNumber
    columns.sentTimes[slot] = now
    columns.sizes[slot] = bytes
    columns.totalsSent[slot] = this.totalBytesSent
    columns.sentAtLastAck[slot] = this.totalSentAtLastAck
    columns.lastAckedSentTimes[slot] = this.lastAckedSentTime
    columns.lastAckTimes[slot] = this.lastAckTime
    columns.ackedTotals[slot] = this.totalBytesAcked
    columns.limited[slot] = this.applicationLimited ? 1 : 0
  }

  /** A packet arrived. For one that is not tracked the sample is empty. */
  onPacketAcked(now: Micros, packetNumber: number): BandwidthSample {
    const { columns, sample } = this
    const slot = packetNumber & this.mask
    sample.bandwidth = 0
    sample.rtt = 0
    sample.applicationLimited = false
    if (!this.take(packetNumber)) return sample
    const sentTime = columns.sentTimes[slot]!
    const totalSent = columns.totalsSent[slot]!
    this.totalBytesAcked += columns.sizes[slot]!
    this.totalSentAtLastAck = totalSent
    this.lastAckedSentTime = sentTime
    this.lastAckTime = now
    if (this.applicationLimited && packetNumber > this.endOfLimitedPhase) this.applicationLimited = false

    const priorSentTime = columns.lastAckedSentTimes[slot]!
    const priorAckTime = columns.lastAckTimes[slot]!
    if (priorSentTime === 0 || now <= priorAckTime) return sample
    const ackRate = (this.totalBytesAcked - columns.ackedTotals[slot]!) / (now - priorAckTime)
    sample.bandwidth =
      sentTime > priorSentTime
        ? Math.min(ackRate, (totalSent - columns.sentAtLastAck[slot]!) / (sentTime - priorSentTime))
        : ackRate
    sample.rtt = now - sentTime
    sample.applicationLimited = columns.limited[slot] === 1
    return sample
  }

  onPacketLost(packetNumber: number): void {
    this.take(packetNumber)
  }

  /** The window has room and there is nothing to send: what leaves from now on measures the application. */
  onApplicationLimited(): void {
    this.applicationLimited = true
    this.endOfLimitedPhase = this.lastSent
  }

  /** Nothing below will be acknowledged any more. */
  removeObsolete(leastUnacked: number): void {
    if (leastUnacked > this.floor) this.floor = leastUnacked
  }

  private take(packetNumber: number): boolean {
    const slot = packetNumber & this.mask
    if (packetNumber < this.floor || this.columns.packetNumbers[slot] !== packetNumber) return false
    this.columns.packetNumbers[slot] = 0
    return true
  }

  private grow(): void {
    const old = this.columns
    const oldMask = this.mask
    const capacity = 2 * (oldMask + 1)
    this.mask = capacity - 1
    this.columns = makeColumns(capacity)
    for (let slot = 0; slot <= oldMask; slot++) {
      const packetNumber = old.packetNumbers[slot]!
      if (packetNumber < this.floor || packetNumber === 0) continue
      const target = packetNumber & this.mask
      for (const name of columnNames) this.columns[name][target] = old[name][slot]!
    }
  }
}

const columnNames = [
  'packetNumbers',
  'sentTimes',
  'sizes',
  'totalsSent',
  'sentAtLastAck',
  'lastAckedSentTimes',
  'lastAckTimes',
  'ackedTotals',
  'limited'
] as const

function makeColumns(capacity: number): Record<(typeof columnNames)[number], Float64Array> {
  const column = (): Float64Array => new Float64Array(capacity)
  return {
    packetNumbers: column(),
    sentTimes: column(),
    sizes: column(),
    totalsSent: column(),
    sentAtLastAck: column(),
    lastAckedSentTimes: column(),
    lastAckTimes: column(),
    ackedTotals: column(),
    limited: column()
  }
}
