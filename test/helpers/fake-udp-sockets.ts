/**
 * Sockets of the native engine on a system that answers as a test wants.
 */
import { constants } from 'node:os'
import type { DatagramHandler } from '../../src/endpoint/datagram-engine.js'
import { Outcome, Ready, TRANSMIT_WORDS, type NativeAddon, type NativeUdpSocket } from '../../src/endpoint/engines/native-addon.js'
import type { PeerAddress } from '../../src/quic/types.js'
import { addon } from './engines.js'

const { EAGAIN } = constants.errno

/** Keeps what a socket says, in words. */
export class SocketLog implements DatagramHandler {
  readonly said: string[] = []

  onDatagram(_from: PeerAddress, bytes: Uint8Array): void {
    this.said.push(`datagram ${Buffer.from(bytes).toString('latin1')}`)
  }

  onBatchEnd(): void {}

  onWritable(): void {
    this.said.push('writable')
  }

  onTooBig(to: PeerAddress, size: number): void {
    this.said.push(`too big for ${to.port}: ${size}`)
  }

  onSocketError(error: Error): void {
    this.said.push(error.message)
  }
}

/** What the system answers to a datagram: an error, or nothing wrong. */
export type Answer = (datagram: string) => number

/** A system, and what it saw. */
interface FakeSystem {
  readonly addon: NativeAddon
  /** All sockets have room. */
  room(): void
  /** Whether somebody waits for room. */
  watched: boolean
  /** The error with which it refuses to pace what is sent; 0 to accept. */
  paces: number
  /** In how many µs each transmit was due when it was given to be sent. */
  readonly delays: number[]
}

/**
 * An addon whose sockets send nothing, but keep what they were given and answer as a test wants; all of them have
 * `room` at once. What is to be sealed first they do seal.
 */
export function addonThat(answer: Answer, sent: string[]): FakeSystem {
  const ready: ((bits: number) => void)[] = []
  const state = {
    watched: false,
    paces: 0,
    delays: [] as number[],
    room: () => ready.forEach((onReady) => onReady(Ready.Send)),
    addon: {
      ...addon!,
      UdpSocket: class {
        bind = (): number => 0
        setBufferSizes = (): number => 1_000_000
        useOffloads = (): number => 3
        stampArrivals = (): number => 0
        paceDepartures = (): number => state.paces
        localAddress = (record: Int32Array): number => (addon!.parseAddress('127.0.0.1', 1, record, 0), 0)
        start = (callback: (bits: number) => void): number => (ready.push(callback), 0)
        watchWritable = (wanted: 0 | 1): number => ((state.watched = wanted === 1), 0)
        close = (): void => this.real.close()
        private readonly real = new addon!.UdpSocket(4)
        send = (...[bytes, words, first, last, outcome, sealings, batches]: Parameters<NativeUdpSocket['send']>): void => {
          this.real.send(bytes, words, 0, 0, outcome, sealings, batches)
          outcome.fill(0)
          for (let i = first; i < last; i++) {
            const at = i * TRANSMIT_WORDS
            state.delays.push(words[at + TRANSMIT_WORDS - 1]!)
            while (words[at]! < words[at + 1]!) {
              const end = Math.min(words[at]! + words[at + 2]!, words[at + 1]!)
              const datagram = Buffer.from(bytes.subarray(words[at], end)).toString('latin1')
              const error = answer(datagram)
              if (error !== EAGAIN) words[at] = end
              if (error !== 0) {
                outcome[Outcome.Error] = error
                outcome[Outcome.ErrorSize] = datagram.length
                outcome[Outcome.ErrorAt] = i
                outcome[Outcome.Next] = words[at]! < words[at + 1]! ? i : i + 1
                return
              }
              sent.push(datagram)
            }
          }
          outcome[Outcome.Next] = last
        }
      } as unknown as new () => NativeUdpSocket
    }
  }
  return state
}
