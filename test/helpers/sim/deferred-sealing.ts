import { PacketBatch, type PacketSealer } from '../../../src/quic/crypto/protection.js'
import type { LateSealer } from '../../../src/quic/transport/transmit.js'

/** Takes every sealing there is, and does it when it is told to. */
export class DeferredSealing implements LateSealer {
  /** How many batches it has sealed. */
  sealed = 0
  private readonly batch = new PacketBatch()
  private sealer: PacketSealer | undefined

  takeSealing(sealer: PacketSealer, batch: PacketBatch): boolean {
    if (this.sealer !== undefined) throw new Error('a batch was left to be sealed while another one waited')
    this.sealer = sealer
    this.batch.buffer = batch.buffer
    this.batch.count = 0
    for (let i = 0; i < batch.count; i++) {
      const { headerStart, payloadStart, payloadEnd, packetNumber, packetNumberOffset } = batch
      this.batch.add(headerStart[i]!, payloadStart[i]!, payloadEnd[i]!, packetNumber[i]!, packetNumberOffset[i]!)
    }
    return true
  }

  /** Seals what waits, if anything does. */
  seal(): void {
    if (this.sealer === undefined) return
    this.sealer.seal(this.batch)
    this.sealer = undefined
    this.sealed++
  }
}
