/**
 * Tells those who sent a frame what became of it: the crypto stream of its data, the session of the rest.
 */
import { SentFrameKind, type FrameFateListener, type SentFrame } from '../recovery/sent-frame.js'
import type { ConnectionVisitor } from './connection-visitor.js'
import type { CryptoReceiver } from './crypto-receiver.js'
import type { CryptoSendStream } from './crypto-stream.js'

/** One a connection. */
export class FrameFates implements FrameFateListener {
  constructor(
    private readonly session: ConnectionVisitor,
    private readonly cryptoSend: CryptoSendStream,
    private readonly cryptoReceiver: CryptoReceiver,
    private readonly version: { readonly cryptoStreamId: number }
  ) {}

  onFrameAcked(frame: SentFrame): void {
    if (frame.kind === SentFrameKind.Crypto) this.cryptoSend.onAcked(frame)
    else if (frame.kind !== SentFrameKind.Ping) this.session.onFrameAcked(frame)
  }

  onFrameLost(frame: SentFrame): void {
    if (frame.kind === SentFrameKind.Crypto) this.cryptoSend.onLost(frame)
    else if (frame.kind === SentFrameKind.WindowUpdate && frame.streamId === this.version.cryptoStreamId) {
      this.cryptoReceiver.onWindowUpdateLost()
    } else if (frame.kind !== SentFrameKind.Ping) this.session.onFrameLost(frame)
  }

  isWaiting(first: SentFrame): boolean {
    return first.kind === SentFrameKind.Stream && this.session.isWaiting?.(first) === true
  }

  takeBack(first: SentFrame): boolean {
    return first.kind === SentFrameKind.Stream && this.session.takeBack?.(first) === true
  }
}
