/**
 * Runs a sans-IO endpoint on a socket: datagrams in, events out to the application, packets out, one timer.
 */
import { DatagramBatch } from '../quic/transport/datagram-batch.js'
import type { QuicEndpoint } from '../quic/transport/transmit.js'
import type { Micros, PeerAddress } from '../quic/types.js'
import { RECEIVE_BUDGET, type DatagramHandler, type DatagramSocket } from './datagram-engine.js'
import { systemHelper, type EndpointHelper } from './system.js'

const MAX_TIMER_MS = 0x7fff_ffff
// After this many transmits the loop turns once, so that a fast sender also reads acknowledgements and runs timers.
const TRANSMITS_PER_TURN = 64
// While the socket is full, what is due waits for it and not for the clock; this is for those who give up on their peer.
const BLOCKED_RECHECK: Micros = 50_000
// An alarm that rings so much too late means that the program was busy, and did not read what arrived.
const LATE_ALARM: Micros = 10_000
/** Batches that no driver has datagrams in. */
const spareBatches: DatagramBatch[] = []

/** One endpoint on one socket. */
export class EndpointDriver implements DatagramHandler {
  private socket: DatagramSocket | undefined
  private timer: unknown
  private timerDue: Micros = Infinity
  /** When the alarm should ring. */
  private alarmAt: Micros = 0
  private flushPlanned = false
  /** Datagrams are coming in, so onBatchEnd will: no other turn needs to be planned. */
  private inBatch = false
  /** When the first of them came. */
  private batchBegan: Micros = 0
  /** Those that the endpoint has not been given; undefined for none. */
  private gathered: DatagramBatch | undefined
  /** The last time that the endpoint was told. */
  private told: Micros = 0
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

  onDatagram(from: PeerAddress, bytes: Uint8Array, age?: Micros): void {
    if (!this.inBatch) {
      this.inBatch = true
      this.batchBegan = this.helper.now()
    }
    const arrived = age === undefined ? this.helper.now() : this.batchBegan - age
    // Whatever the endpoint did in the meantime, it did before it had heard of this: its time never goes back.
    this.told = Math.max(this.told, arrived)
    const batch = (this.gathered ??= spareBatches.pop() ?? new DatagramBatch())
    batch.add(from, bytes, this.told)
    if (batch.count === RECEIVE_BUDGET) this.handOver()
  }

  onBatchEnd(): void {
    this.inBatch = false
    this.turn()
  }

  /** Gives the endpoint the datagrams that have come. */
  private handOver(): void {
    const { gathered, endpoint } = this
    if (gathered === undefined) return
    this.gathered = undefined
    gathered.memory = this.socket?.receiveMemory
    try {
      if (!this.stopped) endpoint.handleDatagrams(gathered)
    } finally {
      gathered.clear()
      spareBatches.push(gathered)
    }
  }

  /** The time, for the endpoint. */
  private now(): Micros {
    return (this.told = this.helper.now())
  }

  onWritable(): void {
    this.blocked = false
    this.wake()
  }

  onTooBig(to: PeerAddress, size: number): void {
    this.handOver()
    this.endpoint.handleTooBig(to, size)
  }

  onSocketError(error: Error): void {
    this.handOver()
    this.onError(error)
  }

  /** Delivers events, sends what may be sent, arms the timer. */
  private turn(): void {
    const { socket, endpoint } = this
    this.handOver()
    if (socket === undefined || this.stopped) return
    endpoint.deliverEvents(this.now())
    const { lateSealer } = socket
    let left = TRANSMITS_PER_TURN
    for (; left > 0 && !this.blocked; left--) {
      const buffer = socket.acquireBuffer()
      const transmit = endpoint.pollTransmit(this.now(), buffer, lateSealer)
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
    const now = this.helper.now()
    const delay = Math.min(Math.max(Math.ceil((next - now) / 1000), 1), MAX_TIMER_MS)
    this.alarmAt = now + delay * 1000
    this.timer = this.helper.setAlarm(this.onAlarm, delay)
  }

  private readonly onAlarm = (): void => {
    const late = this.helper.now() - this.alarmAt
    this.timerDue = Infinity
    if (this.stopped) return
    // What has arrived meanwhile may show that nothing is overdue: it is read first.
    if (late > LATE_ALARM) this.helper.runSoon(this.onTimer)
    else this.onTimer()
  }

  private readonly onTimer = (): void => {
    if (this.stopped) return
    this.handOver()
    const now = this.now()
    if (now >= this.endpoint.nextTimeout()) this.endpoint.handleTimeout(now)
    this.turn()
  }

  /** Ends it: no more turns. The socket is the caller's to close. */
  stop(): void {
    this.stopped = true
    this.handOver()
    this.helper.cancelAlarm(this.timer)
  }
}
