/** Packets that are opened ahead of their turn: which of them, what becomes of the others, and of those when it comes. */
import { describe, expect, it } from 'vitest'
import { ConnectionId } from '../../../src/quic/connection-id.js'
import { NodeAeadProvider } from '../../../src/quic/crypto/node-aead.js'
import { PacketBatch, type HeaderProtector, type PacketOpener } from '../../../src/quic/crypto/protection.js'
import { ReceivedPacketManager } from '../../../src/quic/transport/acks/received-packet-manager.js'
import { DatagramBatch } from '../../../src/quic/transport/datagram-batch.js'
import { PacketReceiver } from '../../../src/quic/transport/packets/packet-receiver.js'
import { EncryptionLevel, Perspective, type PeerAddress } from '../../../src/quic/types.js'
import { versionByLabel } from '../../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../../src/quic/wire/versions/version.js'
import { BatchAeadProvider } from '../../helpers/batch-aead.js'

const { Initial, ForwardSecure } = EncryptionLevel
const from: PeerAddress = { family: 4, address: '192.0.2.1', port: 1 }
const connectionId = ConnectionId.read(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))
const key = new Uint8Array(16).fill(7)
const otherKey = new Uint8Array(16).fill(8)
const anything = { holdsData: (): boolean => true }

/** A server's receiver that has the final key, and its client's packets. */
class Receiving {
  readonly provider = new BatchAeadProvider(new NodeAeadProvider())
  readonly received = new ReceivedPacketManager()
  readonly version: QuicVersion
  readonly receiver: PacketReceiver

  constructor(label: string) {
    this.version = versionByLabel(label)!
    const cleartext = { connectionId, aeadProvider: this.provider }
    this.receiver = new PacketReceiver(Perspective.Server, this.version, Perspective.Client, this.received, cleartext)
    this.receiver.openers.setOnly(ForwardSecure, this.opener())
  }

  opener(aeadKey = key): PacketOpener {
    const { protection } = this.version
    return this.provider.createOpener('AESG', aeadKey, new Uint8Array(protection.ivLength), protection, key)
  }

  packet(packetNumber: number, packetNumberLength = 2, level: EncryptionLevel = ForwardSecure, aeadKey = key): Uint8Array {
    const { header, protection } = this.version
    const sealer = this.provider.createSealer('AESG', aeadKey, new Uint8Array(protection.ivLength), protection, key)
    const buffer = new Uint8Array(200)
    const outgoing = { connectionId: connectionId.bytes, includeVersion: false, nonce: undefined, packetNumber, packetNumberLength, level }
    const headerEnd = header.write(buffer, 0, Perspective.Client, outgoing)
    const payloadEnd = headerEnd + 50
    buffer.fill(packetNumber, headerEnd, payloadEnd)
    const end = payloadEnd + sealer.suffixLength
    const batch = new PacketBatch()
    batch.buffer = buffer
    batch.add(0, headerEnd, payloadEnd, packetNumber, header.finish(buffer, headerEnd, outgoing, end))
    sealer.seal(batch)
    return buffer.slice(0, end)
  }

  /** What becomes of a packet that is opened at its turn. */
  take(bytes: Uint8Array): string {
    return this.describe(this.receiver.open(1, from, bytes, 0, false))
  }

  /** The same of packets of which as many as possible are opened ahead; and how many those are. */
  takeTogether(packets: readonly Uint8Array[], between = (): void => {}, batch = batchOf(packets)): { ahead: number; outcomes: string[] } {
    const { receiver } = this
    const seen = receiver.openAhead(batch, 0, batch.count, anything)
    let ahead = 0
    between()
    const outcomes = batch.bytes.map((bytes, n) => {
      if (n >= seen || !receiver.isOpenedAhead(n)) return this.take(bytes)
      ahead++
      return this.describe(receiver.takeOpened(bytes, n))
    })
    return { ahead, outcomes }
  }

  private describe(opened: boolean): string {
    const { receiver, received } = this
    if (!opened) return receiver.dropReason
    received.onPacketReceived(1, receiver.packetNumber, true)
    const { payloadLength } = receiver.openers
    return `${receiver.packetNumber} ${receiver.level} ${payloadLength} ${receiver.newest}`
  }

  get counters(): number[] {
    const { packetsReceived, bytesReceived, undecryptableCount, duplicateCount } = this.receiver
    return [packetsReceived, bytesReceived, undecryptableCount, duplicateCount]
  }
}

function batchOf(packets: readonly Uint8Array[]): DatagramBatch {
  const batch = new DatagramBatch()
  batch.memory = new Uint8Array(packets.length * 300)
  packets.forEach((bytes, i) => {
    batch.memory!.set(bytes, i * 300)
    batch.add(from, batch.memory!.subarray(i * 300, i * 300 + bytes.length), 1)
  })
  return batch
}

function forged(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes, (byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte))
}

describe.each(['Q033', 'Q035', 'Q043', 'Q046', 'Q050'])('packets that arrive together, %s', (label) => {
  /** Takes packets one by one, then together, with the same outcome; @returns how many were opened ahead, and the outcome. */
  function compare(make: (end: Receiving) => Uint8Array[], before: number[] = []): { ahead: number; outcomes: string[] } {
    const single = new Receiving(label)
    const together = new Receiving(label)
    for (const number of before) expect(together.take(together.packet(number))).toBe(single.take(single.packet(number)))
    const expected = make(single).map((bytes) => single.take(bytes))
    const got = together.takeTogether(make(together))
    expect(got.outcomes).toEqual(expected)
    expect(together.counters).toEqual(single.counters)
    return got
  }

  it('are opened with one call', () => {
    const { ahead, outcomes } = compare((end) => [1, 2, 4, 3, 5].map((n) => end.packet(n)))
    expect(ahead).toBe(5)
    expect(outcomes).toEqual([1, 2, 4, 3, 5].map((n) => `${n} ${ForwardSecure} 50 ${n !== 3}`))
  })

  it('are duplicates if they are there twice, or were there before, which are not opened', () => {
    const { ahead, outcomes } = compare((end) => [1, 2, 2, 3, 2].map((n) => end.packet(n)), [1])
    expect(ahead).toBe(4)
    expect(outcomes.map((outcome) => outcome === 'duplicate')).toEqual([true, false, true, false, true])
  })

  it('are as they were if they are not genuine, and spoil none of the others', () => {
    const { ahead, outcomes } = compare((end) => [end.packet(1), forged(end.packet(2)), end.packet(3), end.packet(4)])
    expect([ahead, outcomes[1]]).toEqual([3, 'payload_decrypt_error'])
    const end = new Receiving(label)
    const packets = [end.packet(1), forged(end.packet(2)), end.packet(3)]
    const batch = batchOf(packets)
    expect(end.receiver.openAhead(batch, 0, 3, anything)).toBe(3)
    expect([0, 1, 2].map((n) => end.receiver.isOpenedAhead(n))).toEqual([true, false, true])
    expect(batch.bytes[1]).toEqual(packets[1])
  })

  it('count as what their numbers are taken for at their turn', () => {
    const { ahead, outcomes } = compare((end) => [end.packet(600), end.packet(110, 1)], [100])
    expect([ahead, outcomes[1]]).toEqual([2, 'payload_decrypt_error'])
  })

  it('are not opened any more if their key has gone', () => {
    const end = new Receiving(label)
    const replace = (): void => end.receiver.openers.setOnly(ForwardSecure, end.opener(otherKey))
    const { ahead, outcomes } = end.takeTogether([end.packet(1), end.packet(2)], replace)
    expect([ahead, ...outcomes]).toEqual([2, 'payload_decrypt_error', 'payload_decrypt_error'])
    expect(end.counters).toEqual([0, 0, 2, 0])
  })

  it('put their key first again, as opening them then would', () => {
    const end = new Receiving(label)
    const { openers } = end.receiver
    openers.setAlternative(Initial, end.opener(otherKey), false)
    const { ahead, outcomes } = end.takeTogether([end.packet(2), end.packet(3)], () => {
      expect(end.take(end.packet(1, 4, Initial, otherKey))).toBe(`1 ${Initial} 50 true`)
      expect(openers.finalSlot).toBeUndefined()
    })
    expect([ahead, ...outcomes]).toEqual([2, `2 ${ForwardSecure} 50 true`, `3 ${ForwardSecure} 50 true`])
    expect(openers.finalSlot).toBeDefined()
  })

  it('are left alone where there is nothing to gain', () => {
    const openAhead = (prepare: (end: Receiving, batch: DatagramBatch) => void, numbers = [1, 2]): number => {
      const end = new Receiving(label)
      const batch = batchOf(numbers.map((n) => end.packet(n)))
      prepare(end, batch)
      return end.receiver.openAhead(batch, 0, batch.count, anything)
    }
    expect(openAhead(() => {})).toBe(2)
    expect(openAhead(() => {}, [1])).toBe(0)
    expect(openAhead((end) => end.receiver.openers.setOnly(Initial, end.opener()))).toBe(0)
    expect(openAhead((end) => end.receiver.openers.setAlternative(Initial, end.opener(), false))).toBe(2)
    // One call for all masks is a gain by itself.
    const masks = label === 'Q050' ? 2 : 0
    expect(openAhead((_end, batch) => (batch.memory = undefined))).toBe(masks)
    const withoutBatches = (end: Receiving, maskBatch: HeaderProtector['maskBatch']): void => {
      const opener = end.opener()
      const { open, prefixLength, suffixLength } = opener
      const headerProtector = opener.headerProtector && { ...opener.headerProtector, maskBatch }
      end.receiver.openers.setOnly(ForwardSecure, { open, prefixLength, suffixLength, headerProtector })
    }
    expect(openAhead((end) => withoutBatches(end, end.opener().headerProtector?.maskBatch))).toBe(masks)
    expect(openAhead((end) => withoutBatches(end, undefined))).toBe(0)
  })

  it('are opened one by one, and come to the same, where they share no memory', () => {
    const single = new Receiving(label)
    const together = new Receiving(label)
    const packets = (end: Receiving): Uint8Array[] => [end.packet(1), forged(end.packet(2)), end.packet(3), end.packet(3)]
    const expected = packets(single).map((bytes) => single.take(bytes))
    const batch = new DatagramBatch()
    for (const bytes of packets(together)) batch.add(from, bytes, 1)
    const { ahead, outcomes } = together.takeTogether([], undefined, batch)
    expect(ahead).toBe(label === 'Q050' ? 3 : 0)
    expect(outcomes).toEqual(expected)
    expect(together.counters).toEqual(single.counters)
  })
})

it('packets with long headers, which others may follow in their datagram, are left to their turn', () => {
  const end = new Receiving('Q050')
  const batch = batchOf([end.packet(1), end.packet(2), end.packet(3, 4, Initial), end.packet(4)])
  expect(end.receiver.openAhead(batch, 0, 4, anything)).toBe(2)
  expect(end.receiver.openAhead(batch, 2, 4, anything)).toBe(0)
})
