import { describe, expect, it } from 'vitest'
import { MTU_TARGET_HIGH, MTU_TARGET_LOW, MtuDiscovery, SAFE_PACKET_LENGTH } from '../../../src/quic/transport/mtu-discovery.js'

const CURRENT = 1350

/** Packet numbers of the probes among the first `packets` packets, if none of them arrives. */
function probesOf(mtu: MtuDiscovery, packets: number, from = 0): number[] {
  const probes: number[] = []
  for (let sent = from; sent < packets; ) {
    if (mtu.probeSize(sent, CURRENT) > 0) {
      mtu.onProbeSent(sent)
      probes.push(sent + 1)
    }
    sent++
  }
  return probes
}

describe('mechanism: MTU discovery', () => {
  it('looks for 1450 or 1430 bytes', () => {
    expect([MTU_TARGET_HIGH, MTU_TARGET_LOW, SAFE_PACKET_LENGTH]).toEqual([1450, 1430, 1200])
  })

  it('sends nothing unless it has a target above the size at hand', () => {
    expect(probesOf(new MtuDiscovery(), 2_000)).toEqual([])
    const mtu = new MtuDiscovery()
    mtu.setTarget(CURRENT)
    expect(probesOf(mtu, 2_000)).toEqual([])
  })

  it('probes after 100 packets, then 200 and 400 later, then no more', () => {
    const mtu = new MtuDiscovery()
    mtu.setTarget(1450)
    expect(probesOf(mtu, 10_000)).toEqual([101, 302, 703])
    expect(mtu.probesSent).toBe(3)
  })

  it('is done when a probe arrives', () => {
    const mtu = new MtuDiscovery()
    mtu.setTarget(1450)
    expect(mtu.probeSize(100, CURRENT)).toBe(1450)
    mtu.onProbeSent(100)
    expect(mtu.onPacketAcked(1450, CURRENT)).toBe(1450)
    for (let sent = 101; sent < 1_000; sent++) expect(mtu.probeSize(sent, 1450)).toBe(0)
    expect(mtu.onPacketAcked(1200, 1450)).toBe(1450)
  })

  it('ends for good when the system refuses the probe, and the size stays', () => {
    const mtu = new MtuDiscovery()
    mtu.setTarget(1450)
    mtu.onProbeSent(100)
    expect(mtu.onTooBig(1450, CURRENT)).toBe(CURRENT)
    expect(probesOf(mtu, 10_000, 101)).toEqual([])
  })

  it('steps down when the system refuses what passed before', () => {
    expect(new MtuDiscovery().onTooBig(1350, CURRENT)).toBe(1200)
  })

  it('stays there when what was sent before the refusal arrives, until the path is another', () => {
    const mtu = new MtuDiscovery()
    mtu.onTooBig(1350, CURRENT)
    for (const size of [1347, 1350, 1450]) expect(mtu.onPacketAcked(size, 1200)).toBe(1200)
    mtu.onPathChanged(100, 1200)
    expect(mtu.onPacketAcked(1350, 1200)).toBe(1350)
  })

  it('takes a smaller size than the refused probe for what it is', () => {
    const mtu = new MtuDiscovery()
    mtu.onTooBig(1450, CURRENT)
    expect(mtu.onPacketAcked(1350, 1200)).toBe(1350)
    expect(mtu.onPacketAcked(1450, CURRENT)).toBe(CURRENT)
  })

  it('goes back to the size before the raise after two timeouts, then to the safe one', () => {
    const mtu = new MtuDiscovery()
    mtu.setTarget(1450)
    mtu.onProbeSent(100)
    mtu.onPacketAcked(1450, CURRENT)
    expect(mtu.onTimeouts(1, 0, 200, 1450)).toBe(1450)
    expect(mtu.onTimeouts(2, 0, 200, 1450)).toBe(1350)
    expect(mtu.onTimeouts(3, 0, 202, 1350)).toBe(1200)
    expect(mtu.onTimeouts(4, 0, 204, 1200)).toBe(1200)
  })

  it('never goes above the size at hand', () => {
    expect(new MtuDiscovery().onTimeouts(5, 5, 10, 1000)).toBe(1000)
  })

  it('suspects the size of a hello after three handshake timeouts', () => {
    const mtu = new MtuDiscovery()
    expect(mtu.onTimeouts(0, 2, 3, CURRENT)).toBe(CURRENT)
    expect(mtu.onTimeouts(0, 3, 4, CURRENT)).toBe(1200)
  })

  it('tries a size that it gave up again, twice at most', () => {
    const mtu = new MtuDiscovery()
    expect(mtu.onTimeouts(2, 0, 50, CURRENT)).toBe(1200)
    expect(mtu.probeSize(149, 1200)).toBe(0)
    expect(mtu.probeSize(150, 1200)).toBe(1350)
    mtu.onPacketAcked(1350, 1200)
    mtu.onTimeouts(2, 0, 500, CURRENT)
    expect(mtu.probeSize(600, 1200)).toBe(1350)
    for (let i = 0, sent = 600; i < 3; i++, sent += 1_000) mtu.onProbeSent(sent)
    mtu.onTimeouts(2, 0, 5_000, CURRENT)
    expect(mtu.probeSize(100_000, 1200)).toBe(0)
  })

  it('begins anew on another path, with the size from before all probes', () => {
    const mtu = new MtuDiscovery()
    mtu.setTarget(1450)
    mtu.onProbeSent(100)
    mtu.onPacketAcked(1450, CURRENT)
    expect(mtu.onPathChanged(1_000, 1450)).toBe(CURRENT)
    expect(mtu.probeSize(1_099, CURRENT)).toBe(0)
    expect(mtu.probeSize(1_100, CURRENT)).toBe(1450)
  })
})
