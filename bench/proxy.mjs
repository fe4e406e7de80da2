/** Many small requests: one QUIC connection through the gateway to node:http, against undici to the same node:http. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { child, cli, cpuMicros, datagramsSent, freePort, message, ready, start, stop } from './processes.mjs'

/**
 * @param {{
 *   directory: string, certificates: { cert: string, key: string, ca: string },
 *   requests: number, inFlight: number, pin?: string
 * }} context
 */
export async function proxy({ directory, certificates, requests, inFlight, pin }) {
  const quicPort = await freePort('udp')
  const httpPort = await freePort('tcp')
  const config = join(directory, 'gateway.yaml')
  writeFileSync(
    config,
    `listeners:
  - address: 127.0.0.1:${quicPort}
    certificates:
      - cert: ${certificates.cert}
        key: ${certificates.key}
routes: routes.yaml
`
  )
  writeFileSync(
    join(directory, 'routes.yaml'),
    `routes:
  - name: bench
    match:
      pathPrefix: /
    upstreams:
      - http://127.0.0.1:${httpPort}
`
  )
  const upstream = start([child('http-server.mjs'), String(httpPort)], { pin })
  await ready(upstream, String(httpPort))
  const gateway = start([cli, 'gateway', '--config', config], { pin })
  await ready(gateway, String(quicPort))

  const load = [String(requests), String(inFlight)]
  const quicArgs = [child('quic-load.mjs'), String(quicPort), certificates.ca, ...load]
  const httpArgs = [child('http-load.mjs'), String(httpPort), ...load]

  /** One run of a load program. It warms up first; the servers' times are taken when it says so. */
  async function measure(args, servers) {
    const program = start(args, { pin })
    await message(program, 'warm')
    const before = await Promise.all([program, ...servers].map(cpuMicros))
    const packetsBefore = datagramsSent()
    program.send('go')
    const result = await message(program, 'done')
    const packets = packetsBefore === undefined ? undefined : datagramsSent() - packetsBefore
    const after = await Promise.all([program, ...servers].map(cpuMicros))
    program.send('end')
    await stop(program)
    return { ...result, packets, cpu: after.map((micros, i) => (micros - before[i]) / requests) }
  }

  return {
    name: 'proxy',
    title: `${requests} requests for 1 KB, ${inFlight} in flight`,
    sides: [
      {
        name: 'QUIC → gateway → node:http',
        async measure() {
          const { seconds, p50, p99, packets, cpu } = await measure(quicArgs, [gateway, upstream])
          return {
            'requests/s': requests / seconds,
            'p50 ms': p50,
            'p99 ms': p99,
            'gateway CPU µs/request': cpu[1],
            'client CPU µs/request': cpu[0],
            'upstream CPU µs/request': cpu[2],
            'gateway CPU µs/packet': packets === undefined ? undefined : (cpu[1] * requests) / packets,
            'packets/request': packets === undefined ? undefined : packets / requests
          }
        }
      },
      {
        name: 'undici → node:http',
        async measure() {
          const { seconds, p50, p99, cpu } = await measure(httpArgs, [upstream])
          return {
            'requests/s': requests / seconds,
            'p50 ms': p50,
            'p99 ms': p99,
            'gateway CPU µs/request': undefined,
            'client CPU µs/request': cpu[0],
            'upstream CPU µs/request': cpu[1],
            'gateway CPU µs/packet': undefined,
            'packets/request': undefined
          }
        }
      }
    ],
    async close() {
      await Promise.all([stop(gateway), stop(upstream)])
    }
  }
}
