/** What is wrong with certificates or keys that a person supplied. */
export type CertificateErrorCode =
  | 'CERTIFICATE_UNREADABLE'
  | 'CHAIN_TOO_LARGE'
  | 'KEY_UNREADABLE'
  | 'KEY_ENCRYPTED'
  | 'KEY_UNSUPPORTED'
  | 'KEY_MISMATCH'
  | 'CA_UNREADABLE'
  | 'COMMON_UNREADABLE'
  | 'CA_UNUSABLE'
  | 'HOST_INVALID'
  | 'OPTION_INVALID'
  | 'FILE_EXISTS'
  | 'FILE_UNWRITABLE'

/**
 * A person's certificate or key cannot be used. The message is one line that says what was expected and what to do; who
 * knows the file's name puts it in front.
 */
export class CertificateError extends Error {
  override readonly name = 'CertificateError'

  /** @param code stable, for programs */
  constructor(
    readonly code: CertificateErrorCode,
    message: string
  ) {
    super(message)
  }
}
