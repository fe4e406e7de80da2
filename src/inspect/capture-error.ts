/** What can be wrong with a capture directory. Stable, for programs. */
export type CaptureErrorCode = 'CAPTURE_UNREADABLE' | 'CAPTURE_MALFORMED' | 'CAPTURE_VERSION_UNSUPPORTED'

/** A capture that cannot be inspected. The message names the file and says what to do, on one line. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError'

  constructor(
    readonly code: CaptureErrorCode,
    message: string
  ) {
    super(message)
  }
}
