/**
 * Runs a sans-IO endpoint on a socket: datagrams in, events out to the application, packets out, one timer.
 */
import type { QuicEndpoint } from '../quic/transport/transmit.js'
import type { Micros, PeerAddress } from '../quic/types.js'
import type { DatagramHandler, DatagramSocket } from './datagram-engine.js'
import { systemHelper, type EndpointHelper } from './system.js'

const MAX_TIMER_MS = 0x7fff_ffff
// After this many transmits the loop turns once, so that a fast sender also reads acknowledgements and runs timers.
const TRANSMITS_PER_TURN = 64
// While the socket is full, what is due waits for it and not for the clock; this is for those who give up on their peer.
const BLOCKED_RECHECK: Micros = 50_000

/** One endpoint on one socket. */
export class EndpointDriver implements DatagramHandler {
  private socket: DatagramSocket | undefined
  private timer: unknown
  private timerDue: Micros = Infinity
  private flushPlanned = false
  /** Datagrams are coming in, so onBatchEnd will: no other turn needs to be planned. */
  private inBatch = false
  /** The socket has no room: nobody is asked for packets, so that all keep their turn and nothing is built in vain. */
  private blocked = false
  private stopped = false

  /**
   * @param endpoint what to run
   * @param onError told of socket errors; they do not stop the driver
   * @param onTurn called after every turn, for whoever waits for the endpoint to come to an end
   * @param helper clock and alarms
   */
  constructor(
    private readonly endpoint: QuicEndpoint,
    private readonly onError: (error: Error) => void,
    private readonly onTurn: () => void,
    private readonly helper: EndpointHelper = systemHelper
  ) {}

  attach(socket: DatagramSocket): void {
    this.socket = socket
    this.wake()
  }

  /** Something is to be sent: a turn follows as soon as the running code is done. */
  readonly wake = (): void => {
    if (this.flushPlanned || this.inBatch || this.stopped) return
    this.flushPlanned = true
    this.helper.runSoon(this.onPlannedFlush)
  }

  private readonly onPlannedFlush = (): void => {
    this.flushPlanned = false
    this.turn()
  }

  onDatagram(from: PeerAddress, bytes: Uint8Array): void {
    this.inBatch = true
    this.endpoint.handleDatagram(this.helper.now(), from, bytes)
  }

  onBatchEnd(): void {
    this.inBatch = false
    this.turn()
  }

  onWritable(): void {
    this.blocked = false
    this.wake()
  }

  onTooBig(to: PeerAddress, size: number): void {
    this.endpoint.handleTooBig(to, size)
  }

  onSocketError(error: Error): void {
    this.onError(error)
  }

  /** Delivers events, sends what may be sent, arms the timer. */
  private turn(): void {
    const { socket, endpoint, helper } = this
    if (socket === undefined || this.stopped) return
    endpoint.deliverEvents(helper.now())
    const { lateSealer } = socket
    let left = TRANSMITS_PER_TURN
    for (; left > 0 && !this.blocked; left--) {
      const buffer = socket.acquireBuffer()
      const transmit = endpoint.pollTransmit(helper.now(), buffer, lateSealer)
      if (transmit === undefined) break
      this.blocked = !socket.send(transmit, buffer)
    }
    if (!socket.flush()) this.blocked = true
    if (left === 0 && !this.blocked) this.wake()
    this.armTimer()
    this.onTurn()
  }

  // A timer that fires early only looks again, which is cheaper than setting one anew for every packet.
  private armTimer(): void {
    const soonest = this.blocked ? this.helper.now() + BLOCKED_RECHECK : 0
    const next = Math.max(this.endpoint.nextTimeout(), soonest)
    if (next >= this.timerDue) return
    this.helper.cancelAlarm(this.timer)
    this.timerDue = next
    if (next === Infinity) return
    const delay = Math.min(Math.max(Math.ceil((next - this.helper.now()) / 1000), 1), MAX_TIMER_MS)
    this.timer = this.helper.setAlarm(this.onTimer, delay)
  }

  private readonly onTimer = (): void => {
    this.timerDue = Infinity
    if (this.stopped) return
    const now = this.helper.now()
    if (now >= this.endpoint.nextTimeout()) this.endpoint.handleTimeout(now)
    this.turn()
  }

  /** Ends it: no more turns. The socket is the caller's to close. */
  stop(): void {
    this.stopped = true
    this.helper.cancelAlarm(this.timer)
  }
}
