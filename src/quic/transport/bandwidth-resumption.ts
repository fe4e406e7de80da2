/**
 * A server's connection that begins as fast as the client's last one was, and tells its client how fast it has become
 * (quic_server_session_base.cc). Clients ask for it: COPT BWRE by the last bandwidth, BWMX by the highest.
 */
import type { CachedNetworkParameters } from '../handshake/cached-network-parameters.js'
import type { NegotiatedConfig } from '../handshake/negotiated-config.js'
import type { SentPacketManager } from '../recovery/sent-packet-manager.js'
import { SustainedBandwidthRecorder } from '../recovery/sustained-bandwidth.js'
import type { Micros } from '../types.js'

/** An older estimate says too little about the path now, seconds. */
const MAX_AGE_SECONDS = 3600
const MIN_INTERVAL: Micros = 1_000_000
const MIN_INTERVAL_ROUND_TRIPS = 10
const MIN_PACKETS = 100
/** A change below this share of what the client was told is not worth a message. */
const SUBSTANTIAL = 0.5

/** What this needs of its connection. */
export interface ResumedConnection {
  /** Whether something waits to be sent; updates have time until nothing does. */
  hasDataToSend(): boolean
  /** Puts the estimate into a token of the client's (SCUP). False if that is not possible now. */
  sendEstimate(network: CachedNetworkParameters): boolean
}

/** One connection's part in it. */
export class BandwidthResumption {
  private readonly recorder: SustainedBandwidthRecorder
  private told = 0
  private lastUpdate: Micros = -Infinity
  private lastUpdatePacket = 0

  private constructor(
    private readonly connection: ResumedConnection,
    private readonly sentPackets: SentPacketManager,
    private readonly wallSeconds: () => number
  ) {
    this.recorder = new SustainedBandwidthRecorder(wallSeconds)
    sentPackets.bandwidthRecorder = this.recorder
  }

  /**
   * Begins as the client's options and token say. Call it when its hello has been accepted and its options are applied.
   *
   * @returns undefined if the client did not ask for it
   */
  static begin(
    connection: ResumedConnection,
    { connectionOptions, previousNetwork }: NegotiatedConfig,
    sentPackets: SentPacketManager,
    wallSeconds: () => number
  ): BandwidthResumption | undefined {
    const byMax = connectionOptions.includes('BWMX')
    if (!byMax && !connectionOptions.includes('BWRE')) return undefined
    if (previousNetwork !== undefined && wallSeconds() - previousNetwork.seconds <= MAX_AGE_SECONDS) {
      const { bandwidth, maxBandwidth, minRttMs } = previousNetwork
      // Below a millisecond the round trip is unknown, and no window follows from the bandwidth.
      if (minRttMs > 0) sentPackets.resume(byMax ? maxBandwidth : bandwidth, minRttMs * 1000)
    }
    return new BandwidthResumption(connection, sentPackets, wallSeconds)
  }

  /** After acknowledgements: tells the client if there is news, it is not too soon, and nothing else is to be sent. */
  update(now: Micros): void {
    const { recorder, sentPackets, told } = this
    const { bandwidth } = recorder
    if (bandwidth === undefined || Math.abs(bandwidth - told) <= SUBSTANTIAL * told) return
    const elapsed = now - this.lastUpdate
    const { rtt, largestSent } = sentPackets
    if (elapsed < MIN_INTERVAL || elapsed < MIN_INTERVAL_ROUND_TRIPS * rtt.smoothed) return
    if (largestSent - this.lastUpdatePacket < MIN_PACKETS || this.connection.hasDataToSend()) return
    const network: CachedNetworkParameters = {
      servingRegion: '',
      bandwidth,
      minRttMs: Math.floor(rtt.min / 1000),
      inSlowStart: recorder.inSlowStart,
      maxBandwidth: recorder.maxBandwidth,
      maxBandwidthSeconds: recorder.maxBandwidthSeconds,
      seconds: this.wallSeconds()
    }
    if (!this.connection.sendEstimate(network)) return
    this.told = bandwidth
    this.lastUpdate = now
    this.lastUpdatePacket = largestSent
  }
}
