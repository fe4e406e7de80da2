/** PEM text (RFC 7468). */

const CERTIFICATE = /-----BEGIN (?:X509 )?CERTIFICATE-----[\s\S]*?-----END (?:X509 )?CERTIFICATE-----/g

/** The certificates in a PEM text, each as PEM, in order; other blocks and text between are passed over. */
export function splitPemCertificates(text: string): string[] {
  return text.match(CERTIFICATE) ?? []
}

/** Whether a PEM text has a private key of any kind. */
export function holdsPrivateKey(text: string): boolean {
  return /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)
}
