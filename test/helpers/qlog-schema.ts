/**
 * What qlog 0.3 allows, as far as this project writes it: the CDDL of draft-ietf-quic-qlog-main-schema-02 and
 * draft-ietf-quic-qlog-quic-events-01, and this project's own events, whose names begin with `gquic:`.
 */
import { z } from 'zod'

const uint = z.int().nonnegative()
const float = z.number().nonnegative()
const hex = z.string().regex(/^([0-9a-f]{2})*$/)
const ip = z.union([z.ipv4(), z.ipv6()])
const owner = z.enum(['local', 'remote'])

const frame = z.discriminatedUnion('frame_type', [
  z.strictObject({ frame_type: z.literal('padding'), length: uint.optional() }),
  z.strictObject({ frame_type: z.literal('ping') }),
  z.strictObject({
    frame_type: z.literal('ack'),
    ack_delay: float.optional(),
    acked_ranges: z.array(z.tuple([uint, uint]).refine(([first, last]) => first <= last))
  }),
  z.strictObject({
    frame_type: z.literal('stream'),
    stream_id: uint,
    offset: uint,
    length: uint,
    fin: z.literal(true).optional()
  }),
  z.strictObject({ frame_type: z.literal('crypto'), offset: uint, length: uint }),
  z.strictObject({
    frame_type: z.literal('reset_stream'),
    stream_id: uint,
    error_code: uint,
    error: z.string(),
    final_size: uint
  }),
  z.strictObject({ frame_type: z.literal('max_data'), maximum: uint }),
  z.strictObject({ frame_type: z.literal('max_stream_data'), stream_id: uint, maximum: uint }),
  z.strictObject({
    frame_type: z.literal('connection_close'),
    error_space: z.literal('transport'),
    error_code: uint,
    error: z.string(),
    reason: z.string()
  }),
  z.strictObject({ frame_type: z.literal('datagram'), length: uint }),
  // Not in the schema, which lets frames of other names be.
  z.strictObject({ frame_type: z.literal('stop_waiting'), least_unacked: uint }),
  z.strictObject({ frame_type: z.literal('blocked'), stream_id: uint }),
  z.strictObject({
    frame_type: z.literal('goaway'),
    error_code: uint,
    error: z.string(),
    last_good_stream_id: uint,
    reason: z.string()
  })
])

const header = z.strictObject({
  packet_type: z.enum(['initial', 'handshake', '0RTT', '1RTT', 'retry', 'version_negotiation', 'unknown']),
  packet_number: uint,
  encryption_level: z.enum(['none', 'initial', 'forward_secure']).optional()
})
const raw = z.strictObject({ length: uint, payload_length: uint.optional() })
const packet = z.strictObject({ header, raw, frames: z.array(frame) })
const states = [
  'attempted', 'peer_validated', 'handshake_started', 'early_write', 'handshake_complete', 'handshake_confirmed',
  'closing', 'draining', 'closed'
] as const

const dataSchemas: Readonly<Record<string, z.ZodType>> = {
  'connectivity:connection_started': z.strictObject({
    ip_version: z.enum(['v4', 'v6']),
    src_ip: ip,
    dst_ip: ip,
    src_port: uint.max(65_535),
    dst_port: uint.max(65_535),
    dst_cid: hex.length(16),
    quic_version: z.string()
  }),
  'connectivity:connection_state_updated': z.strictObject({ old: z.enum(states).optional(), new: z.enum(states) }),
  'connectivity:connection_id_updated': z.strictObject({ owner, old: hex, new: hex }),
  'connectivity:connection_closed': z.strictObject({
    owner,
    connection_code: uint,
    error: z.string(),
    reason: z.string(),
    trigger: z.enum([
      'clean', 'handshake_timeout', 'idle_timeout', 'error', 'stateless_reset', 'version_mismatch', 'application'
    ])
  }),
  'transport:version_information': z.strictObject({
    server_versions: z.array(hex).optional(),
    client_versions: z.array(hex).optional(),
    chosen_version: hex,
    label: z.string()
  }),
  'transport:parameters_set': z.strictObject({
    owner,
    max_idle_timeout: uint,
    initial_max_data: uint,
    initial_max_stream_data_bidi_local: uint,
    initial_max_stream_data_bidi_remote: uint,
    initial_max_streams_bidi: uint,
    connection_options: z.array(z.string())
  }),
  'transport:packet_sent': packet,
  'transport:packet_received': packet,
  'transport:packet_dropped': z.strictObject({
    raw,
    trigger: z.enum([
      'key_unavailable', 'unknown_connection_id', 'header_parse_error', 'payload_decrypt_error', 'protocol_violation',
      'dos_prevention', 'unsupported_version', 'unexpected_packet', 'unexpected_version', 'duplicate', 'invalid_initial'
    ])
  }),
  'recovery:packet_lost': z.strictObject({ header }),
  'recovery:metrics_updated': z
    .strictObject({
      min_rtt: float.optional(),
      smoothed_rtt: float.optional(),
      latest_rtt: float.optional(),
      rtt_variance: float.optional(),
      congestion_window: uint.optional(),
      bytes_in_flight: uint.optional(),
      ssthresh: uint.optional()
    })
    .refine((data) => Object.keys(data).length > 0),
  'security:key_updated': z.strictObject({
    key_type: z.enum(['client_0rtt_secret', 'server_0rtt_secret', 'client_1rtt_secret', 'server_1rtt_secret']),
    aead: z.enum(['AESG', 'CC20'])
  }),
  'gquic:handshake_message': z.strictObject({
    owner,
    message_type: z.string(),
    length: uint,
    tags: z.array(z.string()),
    server_name: z.string().optional(),
    reject_reasons: z.array(z.string()).optional()
  }),
  'gquic:peer_address_changed': z.strictObject({ old: z.string(), new: z.string() }),
  'gquic:events_dropped': z.strictObject({ count: uint.min(1) }),
  'gquic:trouble': z.strictObject({ message: z.string() }),
  'gquic:trace_truncated': z.strictObject({ max_size: uint })
}

const eventSchema = z.strictObject({
  time: float,
  name: z.string().refine((name) => name in dataSchemas, 'an event that the schema does not have'),
  data: z.record(z.string(), z.unknown())
})

const headerSchema = z.strictObject({
  qlog_version: z.literal('0.3'),
  qlog_format: z.literal('JSON-SEQ'),
  title: z.string(),
  trace: z.strictObject({
    vantage_point: z.strictObject({ name: z.string(), type: z.enum(['client', 'server']) }),
    title: z.string(),
    common_fields: z.strictObject({
      ODCID: hex.length(16),
      group_id: z.string(),
      protocol_type: z.array(z.string()),
      time_format: z.literal('relative'),
      reference_time: z.number().positive()
    })
  })
})

/** One checked event. */
export interface CheckedEvent {
  readonly time: number
  readonly name: string
  readonly data: Record<string, unknown>
}

/** Checks one event, as an object fresh from JSON. Throws where it is not what the schema says. */
export function checkEvent(value: unknown): CheckedEvent {
  const event = eventSchema.parse(value)
  dataSchemas[event.name]!.parse(event.data)
  return event
}

/** Checks a whole file, order of time included. */
export function checkQlogFile(text: string): { header: z.infer<typeof headerSchema>; events: CheckedEvent[] } {
  if (!text.startsWith('\x1e') || !text.endsWith('\n')) throw new Error('no JSON text sequence')
  const [first, ...rest] = text
    .slice(1)
    .split('\x1e')
    .map((record) => JSON.parse(record) as unknown)
  const events = rest.map(checkEvent)
  events.reduce((before, { time, name }) => {
    if (time < before) throw new Error(`${name} at ${time} ms comes after ${before} ms`)
    return time
  }, 0)
  return { header: headerSchema.parse(first), events }
}
