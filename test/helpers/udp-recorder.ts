/**
 * Records what a client and a server say to each other over real sockets.
 */
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import type { CapturedDatagram } from './pcap.js'

/** The ports that stand for the two in captures. */
export const RECORDED_SERVER_PORT = 4433
export const RECORDED_CLIENT_PORT = 50_000

/** Stands between one client and the server and keeps what it passes on. */
export class Recorder {
  readonly datagrams: CapturedDatagram[] = []
  private readonly startedAt = performance.now()
  private client: { address: string; port: number } | undefined

  private constructor(
    private readonly front: Socket,
    private readonly back: Socket
  ) {
    front.on('message', (bytes, from) => {
      this.client = from
      this.keep(bytes, RECORDED_CLIENT_PORT, RECORDED_SERVER_PORT)
      back.send(bytes)
    })
    back.on('message', (bytes) => {
      this.keep(bytes, RECORDED_SERVER_PORT, RECORDED_CLIENT_PORT)
      front.send(bytes, this.client!.port, this.client!.address)
    })
  }

  static async start(serverPort: number): Promise<Recorder> {
    const front = createSocket('udp4').bind(0, '127.0.0.1')
    const back = createSocket('udp4')
    back.connect(serverPort, '127.0.0.1')
    await Promise.all([once(front, 'listening'), once(back, 'connect')])
    return new Recorder(front, back)
  }

  get port(): number {
    return this.front.address().port
  }

  close(): void {
    this.front.close()
    this.back.close()
  }

  private keep(bytes: Buffer, fromPort: number, toPort: number): void {
    const us = Math.round((performance.now() - this.startedAt) * 1000)
    this.datagrams.push({ us, fromPort, toPort, bytes: Buffer.from(bytes) })
  }
}
