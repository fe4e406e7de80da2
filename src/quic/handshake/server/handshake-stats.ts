/** Counters of a server's handshakes, for logs and metrics. */
import type { RejectReason } from '../../wire/tags.js'

/** What became of the hellos that one server got. */
export class ServerHandshakeStats {
  /** Hellos accepted a round trip or more after the first. */
  accepted = 0
  /** Hellos accepted at first sight, with what was sent behind them (0-RTT). */
  earlyAccepted = 0
  /** Hellos that hoped for that in vain. */
  earlyRejected = 0
  /** Handshakes that both sides have seen the end of. */
  confirmed = 0
  /** Hellos rejected for a reason; one hello may have several. */
  readonly rejections = new Map<RejectReason, number>()

  onAccepted(early: boolean): void {
    if (early) this.earlyAccepted++
    else this.accepted++
  }

  onRejected(reasons: readonly RejectReason[], early: boolean): void {
    if (early) this.earlyRejected++
    for (const reason of reasons) this.rejections.set(reason, (this.rejections.get(reason) ?? 0) + 1)
  }
}
