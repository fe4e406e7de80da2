/**
 * `quicgate gateway` in front of one upstream, as the benchmarks run it: with its defaults, access log included, but with
 * room for the thousands of requests that some of them have under way; by default more than 1024 waiting are refused.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cli, freePort, ready, start } from './processes.mjs'

/**
 * Starts a gateway on loopback.
 * @param {string} directory made for its configuration
 * @param {{ cert: string, key: string }} certificates
 * @param {number} upstreamPort
 * @param {{ transport?: string, upstreams?: string, extra?: string } & object} options lines of the configuration: of the
 *     listener, of the upstreams, of the gateway itself; the rest as for any program
 * @returns the process and its UDP port
 */
export async function startGateway(directory, certificates, upstreamPort, { transport = '', upstreams = '', extra = '', ...options } = {}) {
  const port = await freePort('udp')
  mkdirSync(directory)
  const config = join(directory, 'gateway.yaml')
  writeFileSync(
    config,
    `listeners:
  - address: 127.0.0.1:${port}
    certificates:
      - cert: ${certificates.cert}
        key: ${certificates.key}
${transport}routes: routes.yaml
upstreams:
  maxWaiting: 10000
  timeouts: { queue: 60s }
${upstreams}${extra}`
  )
  writeFileSync(
    join(directory, 'routes.yaml'),
    `routes:
  - name: bench
    match:
      pathPrefix: /
    upstreams:
      - http://127.0.0.1:${upstreamPort}
`
  )
  const process = start([cli, 'gateway', '--config', config], options)
  await ready(process, String(port))
  return { process, port }
}
