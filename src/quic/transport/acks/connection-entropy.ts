/**
 * Both directions' entropy of one connection, with the random bits it takes. Connections of versions without entropy
 * have none, save for a client that may yet negotiate down to one: numbers it has used count there too.
 */
import type { QuicHelper } from '../../types.js'
import { ReceivedEntropy, SentEntropy } from './entropy.js'

/** Acknowledgements may still call missing what lies this far below the least unacknowledged packet. */
const REMEMBERED_PACKETS = 10_000
const BITS_PER_DRAW = 32

/** One a connection. */
export class ConnectionEntropy {
  readonly sent = new SentEntropy()
  readonly received = new ReceivedEntropy()
  private bits = 0
  private bitsLeft = 0

  constructor(private readonly helper: QuicHelper) {}

  /** A random bit for the next packet. */
  draw(): boolean {
    if (this.bitsLeft === 0) {
      const bytes = this.helper.randomBytes(BITS_PER_DRAW / 8)
      this.bits = bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)
      this.bitsLeft = BITS_PER_DRAW
    }
    const bit = (this.bits & 1) !== 0
    this.bits >>>= 1
    this.bitsLeft--
    return bit
  }

  /** Frees what no acknowledgement can concern any more. */
  forget(leastUnacked: number): void {
    this.sent.forgetBelow(leastUnacked - REMEMBERED_PACKETS)
  }
}
