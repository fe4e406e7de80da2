/** Why a stream cannot be opened. */
export type StreamUnavailableCode = 'CLOSED' | 'GOING_AWAY' | 'NOT_ESTABLISHED' | 'STREAM_LIMIT'

const REASONS: Readonly<Record<StreamUnavailableCode, string>> = {
  CLOSED: 'the connection is closed',
  GOING_AWAY: 'the peer takes no more streams on this connection',
  NOT_ESTABLISHED: 'the handshake has not come far enough to send application data',
  STREAM_LIMIT: "the peer's limit of open streams is reached"
}

/** Thrown where a stream is to be opened and none can be now. */
export class StreamUnavailableError extends Error {
  override readonly name = 'StreamUnavailableError'

  constructor(readonly code: StreamUnavailableCode) {
    super(REASONS[code])
  }
}
