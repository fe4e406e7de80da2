/**
 * What a connection does because time has passed: it ends, sends again, asks whether the peer is still there.
 */
import { QuicError, QuicErrorCode } from '../errors.js'
import type { CryptoHandshake } from '../handshake/handshake.js'
import type { SentPacketManager } from '../recovery/sent-packet-manager.js'
import { EncryptionLevel, type Micros } from '../types.js'
import type { ReceivedPacketManager } from './acks/received-packet-manager.js'
import type { ConnectionPath } from './connection-path.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import type { FrameFates } from './frame-fates.js'
import type { Liveness } from './liveness.js'
import type { PacketReceiver } from './packets/packet-receiver.js'
import type { PacketSender } from './packets/packet-sender.js'

// COPT 5RTO: the fifth retransmission timeout in a row ends the connection.
const TIMEOUTS_BEFORE_CLOSE = 4

/** The parts of a connection that wait for something. */
export interface TimedParts {
  readonly session: ConnectionVisitor
  readonly liveness: Liveness
  readonly sentPackets: SentPacketManager
  readonly received: ReceivedPacketManager
  readonly receiver: PacketReceiver
  readonly sender: PacketSender
  readonly path: ConnectionPath
  readonly fates: FrameFates
  readonly handshake: CryptoHandshake
}

/** What a timer does to the connection as a whole. */
export interface TimedConnection {
  close(errorCode: number, details: string): void
  disconnect(errorCode: number, details: string): void
  helloAgain(): void
}

/** One a connection. Times in µs of the driver's clock. */
export class ConnectionTimers {
  /** An idle connection ends without a word to the peer (SCLS). */
  silentClose = false
  /** COPT 5RTO. */
  closesAfterFiveTimeouts = false

  constructor(
    private readonly connection: TimedConnection,
    private readonly parts: TimedParts
  ) {}

  /** Does what is due. @throws QuicError where that is the connection's end */
  check(now: Micros): void {
    const { liveness, sentPackets, session, sender, receiver } = this.parts
    const failure = liveness.check(now)
    if (failure === 'handshake') {
      const silent = receiver.packetsReceived === 0
      const details = silent ? 'no answer from the peer' : 'the handshake was not completed in time'
      throw new QuicError(QuicErrorCode.HANDSHAKE_TIMEOUT, details)
    }
    if (failure === 'idle') {
      this.closeIdle()
      return
    }
    if (now >= sentPackets.nextTimeout()) this.onRetransmissionTimeout(now)
    if (now >= this.pingTime()) sender.pingPending = true
    if (now >= session.nextTimeout()) session.handleTimeout(now)
    if (now >= liveness.restTime()) this.rest()
    if (sentPackets.tooManyOutstanding) {
      throw new QuicError(QuicErrorCode.TOO_MANY_OUTSTANDING_SENT_PACKETS, 'the peer acknowledges nothing')
    }
  }

  private closeIdle(): void {
    const details = 'no recent network activity'
    if (this.silentClose) this.connection.disconnect(QuicErrorCode.NETWORK_IDLE_TIMEOUT, details)
    else this.connection.close(QuicErrorCode.NETWORK_IDLE_TIMEOUT, details)
  }

  /** Nothing has happened for a while: memory that only traffic needs is freed, if nothing is under way. */
  private rest(): void {
    const { liveness, sentPackets, received, receiver, session, sender } = this.parts
    liveness.onRest()
    const busy = sentPackets.bytesInFlight > 0 || sender.wantsToSend() || received.ackPending || session.openStreamCount > 0
    if (busy || !this.parts.handshake.confirmed) return
    // Nothing sent is unanswered, so nobody sends at earlier levels any more; what is late of them is of no use.
    sender.keepOnly(EncryptionLevel.ForwardSecure)
    receiver.openers.keepOnly(EncryptionLevel.ForwardSecure)
    receiver.openers.releaseMemory()
    sender.releaseMemory()
    sentPackets.releaseMemory()
    session.releaseMemory()
  }

  private onRetransmissionTimeout(now: Micros): void {
    const { sentPackets, session, path, receiver, fates } = this.parts
    if (this.closesAfterFiveTimeouts && sentPackets.consecutiveRtoCount >= TIMEOUTS_BEFORE_CLOSE) {
      throw new QuicError(QuicErrorCode.TOO_MANY_RTOS, '5 consecutive retransmission timeouts')
    }
    if (sentPackets.emulatesStreams) sentPackets.setOpenStreams(session.openStreamCount)
    sentPackets.onTimeout(now, fates)
    if (!path.onTimeout() && receiver.packetsReceived === 0) this.connection.helloAgain()
  }

  /** When {@link check}, or the sender, will next have something to do; Infinity for never. */
  nextTimeout(now: Micros): Micros {
    const { liveness, sentPackets, received, session, sender } = this.parts
    return Math.min(
      liveness.nextDeadline(),
      sentPackets.nextTimeout(),
      received.nextAckTime(),
      this.pingTime(),
      liveness.restTime(),
      session.nextTimeout(),
      sender.pacingTime(now)
    )
  }

  private pingTime(): Micros {
    const { liveness, sentPackets, session, sender } = this.parts
    if (sender.pingPending || sentPackets.hasRetransmittable || !session.hasOpenStreams()) return Infinity
    return liveness.pingTime()
  }
}
