/**
 * The receiving half of the handshake: puts its bytes into order and grants flow-control credit for them. Through Q046
 * it is one stream, whose own window holds and which does not count at the connection's (quic_session.cc); from Q050 on
 * each level has offsets of its own, and what may be outstanding is bounded by the same window without being announced.
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import { EncryptionLevel } from '../types.js'
import type { VersionTraits } from '../wire/versions/version.js'
import { QuicStreamSequencer } from './streams/sequencer.js'

/** One a connection. Sizes in bytes. */
export class CryptoReceiver {
  private sequencers = noSequencers()
  private limits: number[] = []
  private announced = 0
  /** What {@link read} gives next, if it came in order: not stored, since it is read at once. */
  private passing: (Uint8Array | undefined)[] = []

  /** @param window what the peer may have outstanding */
  constructor(
    private traits: VersionTraits,
    private readonly window: number
  ) {}

  /** Goes on in the version that negotiation chose, which has seen nothing yet. */
  setVersion(traits: VersionTraits): void {
    this.traits = traits
    this.sequencers = noSequencers()
    this.limits = []
    this.passing = []
    this.announced = 0
  }

  private space(level: EncryptionLevel): number {
    return this.traits.cryptoFrames ? level : EncryptionLevel.None
  }

  private sequencer(level: EncryptionLevel): QuicStreamSequencer {
    const space = this.space(level)
    return (this.sequencers[space] ??= new QuicStreamSequencer(this.traits.cryptoStreamId, this.traits.rejectsOverlap))
  }

  /** Takes the data `buffer[start, end)` of one frame in a packet of `level`. Throws a QuicError for what may not be. */
  receive(level: EncryptionLevel, offset: number, buffer: Uint8Array, start: number, end: number): void {
    const space = this.space(level)
    const limit = this.limits[space] ?? this.window
    if (offset + end - start > limit) {
      throw new QuicError(QuicErrorCode.FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA, 'more handshake data than was granted')
    }
    const sequencer = this.sequencer(level)
    const data = this.passing[space] === undefined ? sequencer.passOn(offset, buffer, start, end) : undefined
    if (data === undefined) sequencer.onFrame(offset, false, buffer, start, end)
    else this.passing[space] = data
  }

  /** The next bytes in order, which are the caller's; undefined if there are none. */
  read(level: EncryptionLevel): Uint8Array | undefined {
    const sequencer = this.sequencer(level)
    const space = this.space(level)
    // A copy of what was stored: its block goes to the next stream that needs one.
    const bytes = this.passing[space] ?? sequencer.read()?.slice()
    this.passing[space] = undefined
    // Handshake messages are few: a block is not kept for the next one.
    if (bytes === undefined) {
      sequencer.recycle()
      sequencer.releaseMemory()
    }
    const limit = this.limits[space] ?? this.window
    if (limit - sequencer.consumed < this.window / 2) this.limits[space] = sequencer.consumed + this.window
    return bytes
  }

  /** The limit to be announced to the peer with a WINDOW_UPDATE; 0 if it knows the present one. */
  get windowUpdate(): number {
    const limit = this.limits[EncryptionLevel.None]
    return this.traits.cryptoFrames || limit === undefined || limit <= this.announced ? 0 : limit
  }

  onWindowUpdateSent(): void {
    this.announced = this.limits[EncryptionLevel.None] ?? 0
  }

  onWindowUpdateLost(): void {
    this.announced = 0
  }
}

/** One a level. Written out so that there is room for these and no more. */
function noSequencers(): (QuicStreamSequencer | undefined)[] {
  return [undefined, undefined, undefined]
}
