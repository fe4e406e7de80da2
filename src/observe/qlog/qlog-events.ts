/**
 * The events of a qlog trace and its first record: qlog 0.3 as JSON text sequences (draft-ietf-quic-qlog-main-schema,
 * RFC 7464), in the form that qvis opens.
 */
import type { ConnectionId } from '../../quic/connection-id.js'
import { quicErrorName, QuicErrorCode, type QuicError } from '../../quic/errors.js'
import type { LevelKeys } from '../../quic/handshake/level-keys.js'
import type { NegotiatedConfig } from '../../quic/handshake/negotiated-config.js'
import type { ObservedConnection, ObservedPacket, RecoveryMetrics } from '../../quic/transport/observer.js'
import { EncryptionLevel, Perspective, type PeerAddress } from '../../quic/types.js'
import { HandshakeMessage } from '../../quic/wire/handshake-message.js'
import { rejectReasonName, Tag, tagName } from '../../quic/wire/tags.js'
import type { QuicVersion } from '../../quic/wire/versions/version.js'
import { qlogFrames } from './qlog-frames.js'

/** One event. `time` in milliseconds since the trace's reference time. */
export interface QlogEvent {
  readonly time: number
  readonly name: string
  readonly data: Readonly<Record<string, unknown>>
}

/** What an event says, without its time. */
export type QlogFact = readonly [name: string, data: Readonly<Record<string, unknown>>]

/**
 * The packet type of every packet. qlog counts packets by type, as IETF QUIC does; here all levels share one sequence
 * of numbers, and an acknowledgement under one level may be for a packet under another. Only as one type do viewers
 * find the packet that an acknowledgement is for. The level is told beside it.
 */
const PACKET_TYPE = '1RTT'
const RECORD_SEPARATOR = '\x1e'

const levelNames = {
  [EncryptionLevel.None]: 'none',
  [EncryptionLevel.Initial]: 'initial',
  [EncryptionLevel.ForwardSecure]: 'forward_secure'
} as const

const keyTypes = {
  [EncryptionLevel.None]: 'initial_secret',
  [EncryptionLevel.Initial]: '0rtt_secret',
  [EncryptionLevel.ForwardSecure]: '1rtt_secret'
} as const

/** The side that a trace is seen from. */
export function vantagePoint(perspective: Perspective): 'client' | 'server' {
  return perspective === Perspective.Client ? 'client' : 'server'
}

/** One record of the sequence. */
export function qlogRecord(value: unknown): string {
  return `${RECORD_SEPARATOR}${JSON.stringify(value)}\n`
}

/** The first record of a file. @param referenceTime ms since the UNIX epoch */
export function qlogHeader(facts: ObservedConnection, referenceTime: number): object {
  const id = facts.connectionId.toString()
  const type = vantagePoint(facts.perspective)
  return {
    qlog_version: '0.3',
    qlog_format: 'JSON-SEQ',
    title: `quicgate ${type} ${id}`,
    trace: {
      vantage_point: { name: 'quicgate', type },
      title: `${type} ${id} ${facts.version.label}`,
      common_fields: {
        ODCID: id,
        group_id: id,
        protocol_type: ['GQUIC'],
        time_format: 'relative',
        reference_time: referenceTime
      }
    }
  }
}

/**
 * `connectivity:connection_started`.
 * @param local undefined where the socket is not open yet
 */
export function connectionStarted(facts: ObservedConnection, local: PeerAddress | undefined): QlogFact {
  const { peerAddress: peer } = facts
  const unknown = { address: peer.family === 6 ? '::' : '0.0.0.0', port: 0 }
  const [src, dst] = facts.perspective === Perspective.Client ? [local ?? unknown, peer] : [peer, local ?? unknown]
  return [
    'connectivity:connection_started',
    {
      ip_version: peer.family === 6 ? 'v6' : 'v4',
      src_ip: src.address,
      dst_ip: dst.address,
      src_port: src.port,
      dst_port: dst.port,
      dst_cid: facts.connectionId.toString(),
      quic_version: facts.version.label
    }
  ]
}

/** `transport:version_information`: what this side offers or accepts, and what the connection speaks. */
export function versionInformation(facts: ObservedConnection, chosen: QuicVersion): QlogFact {
  const whose = `${vantagePoint(facts.perspective)}_versions`
  return [
    'transport:version_information',
    { [whose]: facts.supportedVersions.map(versionHex), chosen_version: versionHex(chosen), label: chosen.label }
  ]
}

function versionHex({ label }: QuicVersion): string {
  return Buffer.from(label, 'latin1').toString('hex')
}

/** `transport:packet_sent` or `transport:packet_received`. */
export function packetEvent(name: 'packet_sent' | 'packet_received', packet: ObservedPacket): QlogFact {
  return [
    `transport:${name}`,
    {
      header: {
        packet_type: PACKET_TYPE,
        packet_number: packet.packetNumber,
        encryption_level: levelNames[packet.level]
      },
      raw: { length: packet.length, payload_length: packet.payloadEnd - packet.payloadStart },
      frames: qlogFrames(packet)
    }
  ]
}

/** `transport:packet_dropped`: a datagram of `length` bytes that was of no use. */
export function packetDropped(reason: string, length: number): QlogFact {
  return ['transport:packet_dropped', { raw: { length }, trigger: reason }]
}

/** `recovery:packet_lost`. */
export function packetLost(packetNumber: number): QlogFact {
  return ['recovery:packet_lost', { header: { packet_type: PACKET_TYPE, packet_number: packetNumber } }]
}

/** What a `recovery:metrics_updated` last said, by qlog's names. Times in ms. */
export type ToldMetrics = Record<string, number>

/** What changed since `told`, which is brought up to date; undefined if nothing did. */
export function metricsUpdated(metrics: RecoveryMetrics, told: ToldMetrics): QlogFact | undefined {
  const { rtt, congestionWindow, bytesInFlight, controller } = metrics
  let data: Record<string, number> | undefined
  const tell = (name: string, value: number): void => {
    if (told[name] === value || !Number.isFinite(value)) return
    told[name] = value
    data ??= {}
    data[name] = value
  }
  if (rtt.latest > 0) {
    tell('min_rtt', rtt.min / 1000)
    tell('smoothed_rtt', rtt.smoothed / 1000)
    tell('latest_rtt', rtt.latest / 1000)
    tell('rtt_variance', rtt.meanDeviation / 1000)
  }
  tell('congestion_window', congestionWindow)
  tell('bytes_in_flight', bytesInFlight)
  tell('ssthresh', controller.slowStartThreshold)
  return data && ['recovery:metrics_updated', data]
}

/** That keys are there, for each direction; never the keys, which belong into a key log. */
export function keysUpdated(keys: LevelKeys): QlogFact[] {
  const type = keyTypes[keys.level]
  const facts: QlogFact[] = [['security:key_updated', { key_type: `client_${type}`, aead: keys.aead }]]
  if (keys.serverKey !== undefined) facts.push(['security:key_updated', { key_type: `server_${type}`, aead: keys.aead }])
  return facts
}

/** A message's name, size and tags, and of its values those that explain how a handshake goes. */
export function handshakeMessage(owner: 'local' | 'remote', bytes: Uint8Array): QlogFact {
  const name = 'gquic:handshake_message'
  try {
    const message = HandshakeMessage.parse(bytes)
    const reasons = message.uint32List(Tag.RREJ)?.map(rejectReasonName)
    return [
      name,
      {
        owner,
        message_type: tagName(message.tag),
        length: bytes.length,
        tags: message.tags.map(tagName),
        server_name: message.text(Tag.SNI),
        reject_reasons: reasons
      }
    ]
  } catch {
    return [name, { owner, length: bytes.length }]
  }
}

/** `transport:parameters_set`: the limits that the peer's hello brought. */
export function parametersSet(config: NegotiatedConfig): QlogFact {
  return [
    'transport:parameters_set',
    {
      owner: 'remote',
      max_idle_timeout: config.idleTimeoutSeconds * 1000,
      initial_max_data: config.peerConnectionWindow,
      initial_max_stream_data_bidi_local: config.peerStreamWindow,
      initial_max_stream_data_bidi_remote: config.peerStreamWindow,
      initial_max_streams_bidi: config.peerMaxIncomingStreams ?? config.maxStreamsPerConnection,
      connection_options: config.connectionOptions
    }
  ]
}

/** `connectivity:connection_state_updated`. */
export function stateUpdated(state: string, before: string | undefined): QlogFact {
  return ['connectivity:connection_state_updated', { old: before, new: state }]
}

/** The packet numbers begin anew with it. */
export function connectionIdUpdated(before: ConnectionId, after: ConnectionId): QlogFact {
  return ['connectivity:connection_id_updated', { owner: 'local', old: before.toString(), new: after.toString() }]
}

/** The peer is reached at another address; qlog has no event of its own for it. */
export function peerAddressChanged(from: PeerAddress, to: PeerAddress): QlogFact {
  const text = ({ address, port }: PeerAddress): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`)
  return ['gquic:peer_address_changed', { old: text(from), new: text(to) }]
}

/** `connectivity:connection_closed`. */
export function connectionClosed(error: QuicError, fromPeer: boolean): QlogFact {
  return [
    'connectivity:connection_closed',
    {
      owner: fromPeer ? 'remote' : 'local',
      connection_code: error.wireCode,
      error: quicErrorName(error.wireCode),
      reason: error.details,
      trigger: closeTrigger(error.wireCode)
    }
  ]
}

function closeTrigger(code: QuicErrorCode): string {
  switch (code) {
    case QuicErrorCode.NO_ERROR:
    case QuicErrorCode.PEER_GOING_AWAY:
      return 'clean'
    case QuicErrorCode.HANDSHAKE_TIMEOUT:
      return 'handshake_timeout'
    case QuicErrorCode.NETWORK_IDLE_TIMEOUT:
      return 'idle_timeout'
    case QuicErrorCode.PUBLIC_RESET:
      return 'stateless_reset'
    case QuicErrorCode.INVALID_VERSION:
    case QuicErrorCode.VERSION_NEGOTIATION_MISMATCH:
      return 'version_mismatch'
    default:
      return 'error'
  }
}
