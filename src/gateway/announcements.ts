/** What a gateway says once, at its start, however many processes it has. */
import { X509Certificate } from 'node:crypto'
import type { GatewayConfig, ListenerConfig } from '../config/gateway-config.js'
import { formatHostPort } from '../config/values.js'
import type { Logger } from '../observe/logger.js'
import type { PeerAddress } from '../quic/types.js'

const DAY_MS = 86_400_000
/** A certificate that ends sooner is warned about. */
const EXPIRY_WARNING_DAYS = 14

/** Says where a listener listens, and which engine moves its datagrams. */
export function announceListener(
  logger: Logger,
  config: GatewayConfig,
  listener: ListenerConfig,
  address: PeerAddress,
  engine: string
): void {
  const versions = listener.versions.map((version) => version.label)
  const at = formatHostPort({ host: address.address, port: address.port })
  logger.info({ address: at, versions, routes: config.routes.length, engine }, `listening for QUIC on ${at} (UDP)`)
}

/** Warns of certificates that have to be renewed. */
export function warnOfExpiry(config: GatewayConfig, logger: Logger): void {
  for (const { certificates } of config.listeners) {
    for (const { file, key } of certificates) {
      const { validTo } = new X509Certificate(key.chain[0])
      const days = Math.floor((Date.parse(validTo) - Date.now()) / DAY_MS)
      if (days >= EXPIRY_WARNING_DAYS) continue
      const words = days < 0 ? 'has expired: clients will refuse it' : `expires in ${days} days`
      logger.warn({ certificate: file, validTo, days }, `certificate ${file} ${words}; renew it`)
    }
  }
}
