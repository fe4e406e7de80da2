import { describe, expect, it } from 'vitest'
import { SentFrameKind, SentFramePool } from '../../../src/quic/recovery/sent-frame.js'
import { PacketState, SentPacketMap } from '../../../src/quic/recovery/sent-packet-map.js'
import { EncryptionLevel } from '../../../src/quic/types.js'

function makeMap(): { map: SentPacketMap; send(packetNumber: number, inFlight?: boolean): void } {
  const pool = new SentFramePool()
  const map = new SentPacketMap(pool)
  return {
    map,
    send(packetNumber, inFlight = true) {
      const frames = inFlight ? pool.take(SentFrameKind.Stream, 5, EncryptionLevel.ForwardSecure) : null
      map.add(packetNumber, packetNumber * 10, 100, EncryptionLevel.ForwardSecure, frames, false, inFlight)
    }
  }
}

describe('SentPacketMap.releaseMemory', () => {
  it('frees the ring of a connection with nothing in flight, and begins anew with the next packet', () => {
    const { map, send } = makeMap()
    send(1)
    send(2, false)
    map.remove(1)
    map.releaseMemory()
    expect(map.slots).toBe(0)
    expect(map.first).toBe(0)
    expect(map.leastUnacked).toBe(3)
    for (const packetNumber of [1, 2]) expect(map.contains(packetNumber)).toBe(false)

    for (let packetNumber = 3; packetNumber < 203; packetNumber++) send(packetNumber)
    expect(map.slots).toBeGreaterThanOrEqual(200)
    expect(map.first).toBe(3)
    expect(map.packetsInFlight).toBe(200)
    for (const packetNumber of [3, 100, 202]) {
      expect(map.state(packetNumber)).toBe(PacketState.InFlight)
      expect(map.sentTime(packetNumber)).toBe(packetNumber * 10)
      expect(map.frames(packetNumber)).not.toBeNull()
    }
    for (let at = map.first; at !== 0; at = map.first) map.remove(at)
    expect(map.bytesInFlight).toBe(0)
  })

  it('keeps everything while something is in flight', () => {
    const { map, send } = makeMap()
    send(1)
    map.releaseMemory()
    expect(map.contains(1)).toBe(true)
    expect(map.state(1)).toBe(PacketState.InFlight)
  })

  it('may be called twice', () => {
    const { map, send } = makeMap()
    map.releaseMemory()
    map.releaseMemory()
    send(7)
    expect(map.contains(7)).toBe(true)
  })
})
