/**
 * Which stream ids exist and how many streams may be open (quic_session.cc: available streams, limits on open ones).
 */
import { QuicError, QuicErrorCode } from '../../errors.js'
import { Perspective } from '../../types.js'
import type { VersionTraits } from '../../wire/versions/version.js'

/** The limit on open streams, until hellos say otherwise and in each direction. */
export const DEFAULT_MAX_STREAMS = 100
/** The peer may skip ids up to this many times the limit of open streams. */
const AVAILABLE_MULTIPLIER = 10

/** Ids and counts of one session. */
export class StreamIdManager {
  /** The next id that this side opens. */
  nextOutgoing = 0
  /** The highest id that the peer has used. */
  largestIncoming = 0
  /** Streams that count against the limits. */
  openIncoming = 0
  openOutgoing = 0
  maxOutgoing = DEFAULT_MAX_STREAMS

  private incomingParity = 0
  /** Ids that the peer has skipped; there once it has skipped one. */
  private available: Set<number> | undefined
  private incomingLimit = 0

  constructor(
    private readonly perspective: Perspective,
    traits: VersionTraits,
    maxIncoming: number
  ) {
    this.setTraits(traits)
    this.setMaxIncoming(maxIncoming)
  }

  /** Takes over the ids of a version, before any was used. */
  setTraits(traits: VersionTraits): void {
    const server = this.perspective === Perspective.Server
    const firstIncoming = server ? traits.firstClientStreamId : traits.firstServerStreamId
    this.nextOutgoing = server ? traits.firstServerStreamId : traits.firstClientStreamId
    this.largestIncoming = firstIncoming - 2
    this.incomingParity = firstIncoming & 1
  }

  /** Sets the limit told to the peer. What is enforced is a little more: a FIN or RST may be on its way. */
  setMaxIncoming(announced: number): void {
    this.incomingLimit = Math.max(announced + 10, Math.trunc(announced * 1.1))
  }

  /** How many streams the peer may really have open. */
  get maxIncoming(): number {
    return this.incomingLimit
  }

  isIncoming(id: number): boolean {
    return (id & 1) === this.incomingParity
  }

  /** Whether the stream exists or existed. */
  isUsed(id: number): boolean {
    if (!this.isIncoming(id)) return id < this.nextOutgoing
    return id <= this.largestIncoming && this.available?.has(id) !== true
  }

  /**
   * Marks an incoming id as used; lower ids that were skipped become available. Throws QuicError
   * (TOO_MANY_AVAILABLE_STREAMS) if those are too many.
   */
  use(id: number): void {
    if (this.available?.delete(id) === true || id <= this.largestIncoming) return
    if (id > this.largestIncoming + 2) this.skipTo(id)
    this.largestIncoming = id
  }

  private skipTo(id: number): void {
    const available = (this.available ??= new Set())
    const total = available.size + (id - this.largestIncoming) / 2 - 1
    const limit = this.incomingLimit * AVAILABLE_MULTIPLIER
    if (total > limit) {
      throw new QuicError(QuicErrorCode.TOO_MANY_AVAILABLE_STREAMS, `${total} available streams, above ${limit}`)
    }
    for (let at = this.largestIncoming + 2; at < id; at += 2) available.add(at)
  }

  get incomingFull(): boolean {
    return this.openIncoming >= this.incomingLimit
  }

  get outgoingFull(): boolean {
    return this.openOutgoing >= this.maxOutgoing
  }

  /** Counts a stream as open (+1) or no longer (-1). */
  count(id: number, change: 1 | -1): void {
    if (this.isIncoming(id)) this.openIncoming += change
    else this.openOutgoing += change
  }
}
