/** Why an address cannot be listened at, for the person who wrote it. */
import { ConfigError } from '../config/config-error.js'
import type { ConfigPlace } from '../config/gateway-config.js'
import { formatHostPort } from '../config/values.js'
import type { HostPort } from '../config/values.js'

/**
 * What to throw for an error of opening a socket.
 *
 * @param at where the address is written
 * @returns a ConfigError for what the system refuses; anything else is not the configuration's fault and comes back as it is
 */
export function listenError(error: unknown, address: HostPort, protocol: 'UDP' | 'TCP', at: ConfigPlace): unknown {
  if ((error as NodeJS.ErrnoException).syscall === undefined) return error
  return new ConfigError([{ ...at, message: words(error as NodeJS.ErrnoException, address, protocol) }])
}

function words(error: NodeJS.ErrnoException, address: HostPort, protocol: string): string {
  const at = formatHostPort(address)
  switch (error.code) {
    case 'EADDRINUSE':
      return `${at} (${protocol}) is in use by another program; stop that one or choose another port`
    case 'EACCES':
      return `this user may not listen on ${at}; choose a port above 1023 or grant CAP_NET_BIND_SERVICE`
    case 'EADDRNOTAVAIL':
      return `this machine has no address ${address.host}; name one of its own, 0.0.0.0 or [::]`
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `"${address.host}" does not resolve; name an IP address of this machine`
    default:
      return `cannot listen on ${at}: ${error.message}`
  }
}
