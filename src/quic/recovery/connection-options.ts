/**
 * What a client's connection options (COPT) ask of recovery (quic_sent_packet_manager.cc, SetFromConfig;
 * tcp_cubic_sender_base.cc).
 */
import type { QuicHelper } from '../types.js'
import { BbrSender } from './bbr-sender.js'
import type { CongestionController, ControllerOptions, Flight } from './congestion-controller.js'
import { CubicSender } from './cubic-sender.js'
import type { LossMode } from './loss-detection.js'
import type { RttStats } from './rtt-stats.js'

/** The congestion control algorithms that an endpoint can be told to use. */
export type CongestionAlgorithm = 'cubic' | 'reno' | 'bbr'

/** All that there are: COPT BYTE and RENO also reach those that count in packets. */
export type ControllerKind = CongestionAlgorithm | 'cubic-packets' | 'reno-packets'

/**
 * Makes a congestion controller. The parameters are those of {@link BbrSender}.
 *
 * @param helper where its randomness comes from; always 0 if missing
 */
export function createController(
  kind: ControllerKind,
  rtt: RttStats,
  flight: Flight,
  helper?: Pick<QuicHelper, 'randomBytes'>,
  initialWindowPackets?: number
): CongestionController {
  if (kind === 'bbr') return new BbrSender(rtt, flight, () => (helper === undefined ? 0 : helper.randomBytes(1)[0]!), initialWindowPackets)
  const sender = { reno: kind.startsWith('reno'), packets: kind.endsWith('packets') }
  return new CubicSender(rtt, sender, initialWindowPackets)
}

/**
 * The algorithm that the peer asks for; undefined if it does not. BYTE means the implementation that is not the default:
 * packets for CUBIC, bytes for RENO, and it wins over TBBR, all as in the reference.
 */
export function requestedController(received: readonly string[]): ControllerKind | undefined {
  const byte = received.includes('BYTE')
  if (received.includes('RENO')) return byte ? 'reno' : 'reno-packets'
  if (byte) return 'cubic-packets'
  return received.includes('TBBR') ? 'bbr' : undefined
}

/** How the peer wants losses told; undefined if it does not say. The last one of the reference's order wins. */
export function requestedLossMode(received: readonly string[]): LossMode | undefined {
  if (received.includes('LFAK')) return 'lazy-fack'
  if (received.includes('ATIM')) return 'adaptive-time'
  return received.includes('TIME') ? 'time' : undefined
}

const INITIAL_WINDOWS = { IW03: 3, IW10: 10, IW20: 20, IW50: 50 }

/** What a client may ask a server's congestion controller for. */
export function requestedControllerOptions(received: readonly string[]): ControllerOptions {
  const options: ControllerOptions = {
    minWindowOne: received.includes('MIN1'),
    minFourInFlight: received.includes('MIN4'),
    slowStartLargeReduction: received.includes('SSLR'),
    noProportionalReduction: received.includes('NPRR'),
    rateBasedSending: received.includes('RATE')
  }
  for (const [tag, packets] of Object.entries(INITIAL_WINDOWS)) {
    if (received.includes(tag)) options.initialWindowPackets = packets
  }
  return options
}
