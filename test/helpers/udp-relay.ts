/**
 * A bad path between real sockets: a relay on loopback that loses, delays and repeats datagrams by a seed.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket } from 'node:dgram'
import { once } from 'node:events'
import { SeededRandom } from './sim/seeded-random.js'

/** What the path does. All shares are between 0 and 1. */
export interface UdpRelayOptions {
  /** UDP port of the server, on 127.0.0.1. */
  readonly serverPort: number
  readonly seed: number
  /** Share of datagrams that are lost, each way. */
  readonly loss?: number
  /** Share of datagrams that arrive twice. */
  readonly duplicate?: number
  /** Time on the way, each way, ms; real time, so a test must not depend on it. */
  readonly delayMs?: number
  /** Share of datagrams that take twice that time, and so are overtaken. */
  readonly reorder?: number
}

/** One direction: what it does depends on the seed and on how many datagrams came before, not on the other one. */
class Direction {
  passed = 0
  dropped = 0
  private readonly random: SeededRandom

  constructor(
    private readonly o: UdpRelayOptions,
    seed: number
  ) {
    this.random = new SeededRandom(seed)
  }

  carry(bytes: Buffer, send: (bytes: Buffer) => void): void {
    const { loss = 0, duplicate = 0, delayMs = 0, reorder = 0 } = this.o
    // Always three numbers, so that one share can be changed without changing what the others hit.
    const { random } = this
    const [lost, twice, late] = [random.unit() < loss, random.unit() < duplicate, random.unit() < reorder]
    if (lost) {
      this.dropped++
      return
    }
    this.passed++
    for (let copies = twice ? 2 : 1; copies > 0; copies--) {
      if (delayMs === 0) send(bytes)
      else setTimeout(send, late ? 2 * delayMs : delayMs, bytes)
    }
  }
}

/** See the file comment. Every client address gets a socket of its own towards the server, as behind a NAT. */
export class UdpRelay {
  readonly toServer: Direction
  readonly toClient: Direction
  private readonly backs = new Map<string, Socket>()
  private closed = false

  private constructor(
    private readonly front: Socket,
    o: UdpRelayOptions
  ) {
    this.toServer = new Direction(o, o.seed * 2)
    this.toClient = new Direction(o, o.seed * 2 + 1)
    front.on('message', (bytes, from) => {
      const back = this.backFor(from)
      this.toServer.carry(bytes, (kept) => {
        // One that was delayed over a rebinding is gone with its socket.
        if (!this.closed && [...this.backs.values()].includes(back)) back.send(kept, o.serverPort, '127.0.0.1')
      })
    })
  }

  static async start(o: UdpRelayOptions): Promise<UdpRelay> {
    const front = createSocket('udp4').bind(0, '127.0.0.1')
    await once(front, 'listening')
    return new UdpRelay(front, o)
  }

  /** Where clients connect to, on 127.0.0.1. */
  get port(): number {
    return this.front.address().port
  }

  /** The NAT forgets its mappings: what comes next leaves from new ports, and what is sent to the old ones is lost. */
  rebind(): void {
    for (const back of this.backs.values()) back.close()
    this.backs.clear()
  }

  close(): void {
    this.closed = true
    this.front.close()
    for (const back of this.backs.values()) back.close()
  }

  private backFor({ address, port }: RemoteInfo): Socket {
    const key = `${address}:${port}`
    let back = this.backs.get(key)
    if (back === undefined) {
      back = createSocket('udp4')
      back.on('message', (bytes) => {
        this.toClient.carry(bytes, (kept) => this.closed || this.front.send(kept, port, address))
      })
      this.backs.set(key, back)
    }
    return back
  }
}
