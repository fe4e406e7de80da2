/** When a connection follows its peer to another address, and what it forgets of the path then. */
import { describe, expect, it } from 'vitest'
import { ConnectionPath, type PathParts } from '../../../src/quic/transport/connection-path.js'
import { Perspective, type PeerAddress } from '../../../src/quic/types.js'

function at(address: string, port: number): PeerAddress {
  return { family: 4, address, port }
}

const home = at('192.0.2.1', 1_000)

/** A server's path, with what it looks at and changes. */
class Server {
  readonly sentPackets = {
    largestSent: 50,
    largestAcked: 40,
    largestAckedLength: 0,
    consecutiveTlpCount: 0,
    consecutiveRtoCount: 0,
    consecutiveCryptoTimeouts: 0,
    pathChanges: 0,
    onPathChanged(): void {
      this.pathChanges++
    },
    forgetLargestAckedLength(): void {
      this.largestAckedLength = 0
    }
  }
  readonly assembler = { maxPacketLength: 1350, mayCut: true }
  readonly path = new ConnectionPath({
    perspective: Perspective.Server,
    sentPackets: this.sentPackets,
    assembler: this.assembler,
    crypto: { longestChunk: 0 }
  } as unknown as PathParts)

  acked(largest: number, length = 1200): void {
    this.sentPackets.largestAcked = largest
    this.sentPackets.largestAckedLength = length
    this.path.onAck()
  }
}

describe('mechanism: NAT rebinding', () => {
  it('one move at a time: the next one when the peer has acknowledged what was sent after the move', () => {
    const server = new Server()
    const { path } = server
    expect(path.followPeer(home, at('192.0.2.1', 1_001))).toBe(true)
    expect(path.followPeer(at('192.0.2.1', 1_001), home)).toBe(false)
    server.acked(50)
    expect(path.followPeer(at('192.0.2.1', 1_001), home)).toBe(false)
    server.acked(51)
    expect(path.followPeer(at('192.0.2.1', 1_001), home)).toBe(true)
  })

  it.each(['consecutiveTlpCount', 'consecutiveRtoCount'] as const)('or when nobody answers there: %s', (timeouts) => {
    const server = new Server()
    expect(server.path.followPeer(home, at('192.0.2.1', 1_001))).toBe(true)
    server.sentPackets[timeouts] = 1
    expect(server.path.followPeer(at('192.0.2.1', 1_001), at('192.0.2.1', 1_002))).toBe(true)
  })

  it('another address is another path, whose packet size has to be found anew; another port is not', () => {
    const server = new Server()
    const { path, assembler, sentPackets } = server
    path.applyOptions(['MTUH'])
    server.acked(45, 1450)
    expect(assembler.maxPacketLength).toBe(1450)
    path.followPeer(home, at('192.0.2.200', 1_001))
    server.acked(51)
    expect([assembler.maxPacketLength, sentPackets.pathChanges]).toEqual([1450, 0])
    path.followPeer(at('192.0.2.200', 1_001), at('198.51.100.1', 1_001))
    expect([assembler.maxPacketLength, sentPackets.pathChanges]).toEqual([1350, 1])
    expect([path.mtu.probeSize(149, 1350), path.mtu.probeSize(150, 1350)]).toEqual([0, 1450])
  })
})
