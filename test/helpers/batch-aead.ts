/**
 * Packet protection that opens batches, as an engine with a call for them does, and counts what is opened like that.
 */
import { makeMasks } from '../../src/quic/crypto/protection.js'
import type {
  AeadProvider,
  HeaderProtector,
  MaskBatch,
  OpenBatch,
  PacketOpener
} from '../../src/quic/crypto/protection.js'

/** What another provider does, one by one where that has no batches. */
export class BatchAeadProvider implements AeadProvider {
  /** Calls for batches, packets in them, and those of them that were not genuine. */
  readonly opened = { calls: 0, packets: 0, refused: 0 }
  /** Calls for batches of masks, and masks in them. */
  readonly masked = { calls: 0, masks: 0 }
  readonly createSealer: AeadProvider['createSealer']
  readonly createHeaderProtector: AeadProvider['createHeaderProtector']

  /** @param opensBatches false for an engine that has a call for masks only */
  constructor(
    private readonly inner: AeadProvider,
    private readonly opensBatches = true
  ) {
    this.createSealer = inner.createSealer.bind(inner)
    this.createHeaderProtector = inner.createHeaderProtector.bind(inner)
  }

  get preference(): AeadProvider['preference'] {
    return this.inner.preference
  }

  get primitives(): AeadProvider['primitives'] {
    return this.inner.primitives
  }

  createOpener(...options: Parameters<AeadProvider['createOpener']>): PacketOpener {
    const { opened } = this
    const inner = this.inner.createOpener(...options)
    return {
      prefixLength: inner.prefixLength,
      suffixLength: inner.suffixLength,
      headerProtector: inner.headerProtector && this.protectorOf(inner.headerProtector),
      open: inner.open.bind(inner),
      ...(this.opensBatches && {
        openBatch: (batch) => {
          if (inner.openBatch === undefined) openOneByOne(inner, batch)
          else inner.openBatch(batch)
          opened.calls++
          opened.packets += batch.count
          for (let i = 0; i < batch.count; i++) if (batch.length[i]! < 0) opened.refused++
        }
      })
    }
  }

  private protectorOf(inner: HeaderProtector): HeaderProtector {
    const { masked } = this
    return {
      mask: inner.mask.bind(inner),
      maskBatch: (batch: MaskBatch) => {
        masked.calls++
        masked.masks += batch.count
        makeMasks(inner, batch)
      }
    }
  }
}

function openOneByOne(opener: PacketOpener, batch: OpenBatch): void {
  const { buffer, headerStart, headerEnd, end, packetNumber } = batch
  for (let i = 0; i < batch.count; i++) {
    batch.length[i] = opener.open(buffer, headerStart[i]!, headerEnd[i]!, end[i]!, packetNumber[i]!)
  }
}
