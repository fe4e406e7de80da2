/**
 * What a server learned of the path to a client, kept by the client in its source-address token, so that the next
 * connection need not begin slowly (cached_network_parameters.proto).
 */
import { ProtobufWriter, readProtobuf } from '../wire/protobuf.js'

/** One estimate. Integers; those above 2^31 - 1 do not fit and are written as that. */
export interface CachedNetworkParameters {
  /** Servers elsewhere do not use it; empty for all that have no region. */
  readonly servingRegion: string
  /** Sustained bandwidth, bytes per second; above 0. */
  readonly bandwidth: number
  readonly minRttMs: number
  /** Whether the bandwidth was found in slow start, so that there may be more. */
  readonly inSlowStart: boolean
  /** The most that there was in the connection, bytes per second. */
  readonly maxBandwidth: number
  /** When that was, seconds since the UNIX epoch. */
  readonly maxBandwidthSeconds: number
  /** When the estimate was made, seconds since the UNIX epoch. */
  readonly seconds: number
}

const Field = {
  ServingRegion: 1,
  Bandwidth: 2,
  MinRtt: 3,
  PreviousState: 4,
  MaxBandwidth: 5,
  MaxBandwidthSeconds: 6,
  Seconds: 7
} as const
const CONGESTION_AVOIDANCE = 1
const MAX_INT32 = 0x7fffffff

/** The estimate as a protocol buffers message. */
export function encodeNetworkParameters(parameters: CachedNetworkParameters): Uint8Array {
  const { servingRegion, bandwidth, minRttMs, inSlowStart, maxBandwidth } = parameters
  const out = new ProtobufWriter()
  if (servingRegion !== '') out.bytes(Field.ServingRegion, Buffer.from(servingRegion))
  return out
    .integer(Field.Bandwidth, Math.min(bandwidth, MAX_INT32))
    .integer(Field.MinRtt, Math.min(minRttMs, MAX_INT32))
    .integer(Field.PreviousState, inSlowStart ? 0 : CONGESTION_AVOIDANCE)
    .integer(Field.MaxBandwidth, Math.min(maxBandwidth, MAX_INT32))
    .integer(Field.MaxBandwidthSeconds, parameters.maxBandwidthSeconds)
    .integer(Field.Seconds, parameters.seconds)
    .finish()
}

/** What {@link encodeNetworkParameters} wrote; undefined if it is damaged or tells no bandwidth. */
export function decodeNetworkParameters(message: Uint8Array): CachedNetworkParameters | undefined {
  const integers = new Map<number, number>()
  let servingRegion = ''
  const sound = readProtobuf(message, {
    onInteger: (field, value) => integers.set(field, value),
    onBytes: (field, value) => {
      if (field === Field.ServingRegion) servingRegion = Buffer.from(value).toString()
    }
  })
  const read = (field: number, max = MAX_INT32): number => Math.min(integers.get(field) ?? 0, max)
  // A negative number, which nobody writes, is a very large one here.
  const bandwidth = integers.get(Field.Bandwidth) ?? 0
  if (!sound || bandwidth === 0 || bandwidth > MAX_INT32) return undefined
  return {
    servingRegion,
    bandwidth,
    minRttMs: read(Field.MinRtt),
    inSlowStart: read(Field.PreviousState) !== CONGESTION_AVOIDANCE,
    maxBandwidth: read(Field.MaxBandwidth),
    maxBandwidthSeconds: read(Field.MaxBandwidthSeconds, Number.MAX_SAFE_INTEGER),
    seconds: read(Field.Seconds, Number.MAX_SAFE_INTEGER)
  }
}
