/**
 * Connection and stream error codes of Google QUIC, and the error that carries one through the core.
 * Source: quic_error_codes (quic_protocol.h, QuicErrorCode and QuicRstStreamErrorCode at Chromium 56.0.2912.0).
 */

/** Connection error codes as CONNECTION_CLOSE and GOAWAY carry them (names without the `QUIC_` prefix). */
export const QuicErrorCode = {
  NO_ERROR: 0,
  INTERNAL_ERROR: 1,
  STREAM_DATA_AFTER_TERMINATION: 2,
  INVALID_PACKET_HEADER: 3,
  INVALID_FRAME_DATA: 4,
  INVALID_FEC_DATA: 5,
  INVALID_RST_STREAM_DATA: 6,
  INVALID_CONNECTION_CLOSE_DATA: 7,
  INVALID_GOAWAY_DATA: 8,
  INVALID_ACK_DATA: 9,
  INVALID_VERSION_NEGOTIATION_PACKET: 10,
  INVALID_PUBLIC_RST_PACKET: 11,
  DECRYPTION_FAILURE: 12,
  ENCRYPTION_FAILURE: 13,
  PACKET_TOO_LARGE: 14,
  PEER_GOING_AWAY: 16,
  INVALID_STREAM_ID: 17,
  TOO_MANY_OPEN_STREAMS: 18,
  PUBLIC_RESET: 19,
  INVALID_VERSION: 20,
  INVALID_HEADER_ID: 22,
  INVALID_NEGOTIATED_VALUE: 23,
  DECOMPRESSION_FAILURE: 24,
  NETWORK_IDLE_TIMEOUT: 25,
  ERROR_MIGRATING_ADDRESS: 26,
  PACKET_WRITE_ERROR: 27,
  HANDSHAKE_FAILED: 28,
  CRYPTO_TAGS_OUT_OF_ORDER: 29,
  CRYPTO_TOO_MANY_ENTRIES: 30,
  CRYPTO_INVALID_VALUE_LENGTH: 31,
  CRYPTO_MESSAGE_AFTER_HANDSHAKE_COMPLETE: 32,
  INVALID_CRYPTO_MESSAGE_TYPE: 33,
  INVALID_CRYPTO_MESSAGE_PARAMETER: 34,
  CRYPTO_MESSAGE_PARAMETER_NOT_FOUND: 35,
  CRYPTO_MESSAGE_PARAMETER_NO_OVERLAP: 36,
  CRYPTO_MESSAGE_INDEX_NOT_FOUND: 37,
  CRYPTO_INTERNAL_ERROR: 38,
  CRYPTO_VERSION_NOT_SUPPORTED: 39,
  CRYPTO_NO_SUPPORT: 40,
  CRYPTO_TOO_MANY_REJECTS: 41,
  PROOF_INVALID: 42,
  CRYPTO_DUPLICATE_TAG: 43,
  CRYPTO_ENCRYPTION_LEVEL_INCORRECT: 44,
  CRYPTO_SERVER_CONFIG_EXPIRED: 45,
  INVALID_STREAM_DATA: 46,
  MISSING_PAYLOAD: 48,
  INVALID_PRIORITY: 49,
  EMPTY_STREAM_FRAME_NO_FIN: 50,
  PACKET_READ_ERROR: 51,
  INVALID_CHANNEL_ID_SIGNATURE: 52,
  CRYPTO_SYMMETRIC_KEY_SETUP_FAILED: 53,
  CRYPTO_MESSAGE_WHILE_VALIDATING_CLIENT_HELLO: 54,
  VERSION_NEGOTIATION_MISMATCH: 55,
  INVALID_HEADERS_STREAM_DATA: 56,
  INVALID_WINDOW_UPDATE_DATA: 57,
  INVALID_BLOCKED_DATA: 58,
  FLOW_CONTROL_RECEIVED_TOO_MUCH_DATA: 59,
  INVALID_STOP_WAITING_DATA: 60,
  UNENCRYPTED_STREAM_DATA: 61,
  CONNECTION_IP_POOLED: 62,
  FLOW_CONTROL_SENT_TOO_MUCH_DATA: 63,
  FLOW_CONTROL_INVALID_WINDOW: 64,
  CRYPTO_UPDATE_BEFORE_HANDSHAKE_COMPLETE: 65,
  HANDSHAKE_TIMEOUT: 67,
  TOO_MANY_OUTSTANDING_SENT_PACKETS: 68,
  TOO_MANY_OUTSTANDING_RECEIVED_PACKETS: 69,
  CONNECTION_CANCELLED: 70,
  BAD_PACKET_LOSS_RATE: 71,
  CRYPTO_HANDSHAKE_STATELESS_REJECT: 72,
  PUBLIC_RESETS_POST_HANDSHAKE: 73,
  TIMEOUTS_WITH_OPEN_STREAMS: 74,
  FAILED_TO_SERIALIZE_PACKET: 75,
  TOO_MANY_AVAILABLE_STREAMS: 76,
  UNENCRYPTED_FEC_DATA: 77,
  INVALID_PATH_CLOSE_DATA: 78,
  BAD_MULTIPATH_FLAG: 79,
  IP_ADDRESS_CHANGED: 80,
  CONNECTION_MIGRATION_NO_MIGRATABLE_STREAMS: 81,
  CONNECTION_MIGRATION_TOO_MANY_CHANGES: 82,
  CONNECTION_MIGRATION_NO_NEW_NETWORK: 83,
  CONNECTION_MIGRATION_NON_MIGRATABLE_STREAM: 84,
  TOO_MANY_RTOS: 85,
  ERROR_MIGRATING_PORT: 86,
  OVERLAPPING_STREAM_DATA: 87,
  ATTEMPT_TO_SEND_UNENCRYPTED_STREAM_DATA: 88,
  MAYBE_CORRUPTED_MEMORY: 89,
  CRYPTO_CHLO_TOO_LARGE: 90,
  MULTIPATH_PATH_DOES_NOT_EXIST: 91,
  MULTIPATH_PATH_NOT_ACTIVE: 92,
  TOO_MANY_FRAME_GAPS: 93,
  UNSUPPORTED_PROOF_DEMAND: 94,
  STREAM_SEQUENCER_INVALID_STATE: 95,
  TOO_MANY_SESSIONS_ON_SERVER: 96,
  LAST_ERROR: 97
} as const
export type QuicErrorCode = number

/** Stream error codes as RST_STREAM carries them (names without the `QUIC_` prefix). */
export const QuicRstStreamErrorCode = {
  STREAM_NO_ERROR: 0,
  ERROR_PROCESSING_STREAM: 1,
  MULTIPLE_TERMINATION_OFFSETS: 2,
  BAD_APPLICATION_PAYLOAD: 3,
  STREAM_CONNECTION_ERROR: 4,
  STREAM_PEER_GOING_AWAY: 5,
  STREAM_CANCELLED: 6,
  RST_ACKNOWLEDGEMENT: 7,
  REFUSED_STREAM: 8,
  INVALID_PROMISE_URL: 9,
  UNAUTHORIZED_PROMISE_URL: 10,
  DUPLICATE_PROMISE_URL: 11,
  PROMISE_VARY_MISMATCH: 12,
  INVALID_PROMISE_METHOD: 13,
  PUSH_STREAM_TIMED_OUT: 14,
  HEADERS_TOO_LARGE: 15,
  STREAM_LAST_ERROR: 16
} as const
export type QuicRstStreamErrorCode = number

const errorNames = new Map<number, string>(Object.entries(QuicErrorCode).map(([name, code]) => [code, `QUIC_${name}`]))
const rstErrorNames = new Map<number, string>(
  Object.entries(QuicRstStreamErrorCode).map(([name, code]) => [code, `QUIC_${name}`])
)

/** The protocol's name of a connection error code, `QUIC_UNKNOWN_ERROR_n` for one that has none. */
export function quicErrorName(code: number): string {
  return errorNames.get(code) ?? `QUIC_UNKNOWN_ERROR_${code}`
}

/** The protocol's name of a stream error code, `QUIC_UNKNOWN_STREAM_ERROR_n` for one that has none. */
export function quicRstErrorName(code: number): string {
  return rstErrorNames.get(code) ?? `QUIC_UNKNOWN_STREAM_ERROR_${code}`
}

/**
 * An error that ends one connection. Thrown by codecs and state machines inside the core, caught where a datagram or a
 * timeout enters the connection, and turned into a CONNECTION_CLOSE with `wireCode`.
 */
export class QuicError extends Error {
  override readonly name = 'QuicError'
  /** The protocol's name, such as `QUIC_INVALID_FRAME_DATA`: stable, for programs. */
  readonly code: string

  /**
   * @param wireCode a {@link QuicErrorCode}
   * @param details what was wrong, in words; becomes the close's reason phrase
   */
  constructor(
    readonly wireCode: QuicErrorCode,
    readonly details: string
  ) {
    super(`${quicErrorName(wireCode)}: ${details}`)
    this.code = quicErrorName(wireCode)
  }

  /**
   * What a peer told: where in this program its packet was read says nothing, and a stack would cost more than the
   * packet did. Arguments as for the constructor.
   */
  static fromPeer(wireCode: QuicErrorCode, details: string): QuicError {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    const error = new QuicError(wireCode, details)
    Error.stackTraceLimit = stackTraceLimit
    return error
  }
}
