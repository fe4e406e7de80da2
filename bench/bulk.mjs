/** One large file: `quicgate serve` to `quicgate fetch`, against node:http to undici. */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { child, cli, cpuMicros, datagramsSent, freePort, ready, run, start, stop } from './processes.mjs'

const MB = 1e6

/**
 * @param {{
 *   directory: string, certificates: { cert: string, key: string, ca: string }, megabytes: number, pin?: string
 * }} context
 */
export async function bulk({ directory, certificates, megabytes, pin }) {
  const root = join(directory, 'root')
  mkdirSync(root)
  writeFileSync(join(root, 'small'), 'x')
  writeLargeFile(join(root, 'large'), megabytes * MB)

  const quicPort = await freePort('udp')
  const httpPort = await freePort('tcp')
  const { cert, key, ca } = certificates
  const address = `127.0.0.1:${quicPort}`
  const serve = start([cli, 'serve', '--listen', address, '--cert', cert, '--key', key, '--root', root], { pin })
  const http = start([child('http-server.mjs'), String(httpPort), root], { pin })
  await Promise.all([ready(serve, String(quicPort)), ready(http, String(httpPort))])

  const usageFile = join(directory, 'usage.json')
  const fetchArgs = (name) => [
    cli, 'fetch', `https://localhost:${quicPort}/${name}`, '--connect', address, '--ca', ca, '--json'
  ]
  const httpArgs = (name) => [child('http-client.mjs'), `http://127.0.0.1:${httpPort}/${name}`]

  async function measure(server, args, startupMicros) {
    const packetsBefore = datagramsSent()
    const serverBefore = await cpuMicros(server)
    const client = await run(args('large'), { pin, usageFile })
    const serverMicros = (await cpuMicros(server)) - serverBefore
    const packets = packetsBefore === undefined ? undefined : datagramsSent() - packetsBefore
    const { bodyLength, timings } = JSON.parse(client.output.split('\n').find((line) => line.startsWith('{')))
    if (bodyLength !== megabytes * MB) throw new Error(`got ${bodyLength} bytes of ${megabytes * MB}`)
    return { seconds: timings.total / 1000, serverMicros, clientMicros: client.cpuMicros - startupMicros, packets }
  }

  function side(name, server, args, quic) {
    let startupMicros
    return {
      name,
      async measure() {
        // Starting node and loading modules is no part of the transfer: a one-byte transfer tells what it costs.
        startupMicros ??= (await run(args('small'), { pin, usageFile })).cpuMicros
        const { seconds, serverMicros, clientMicros, packets } = await measure(server, args, startupMicros)
        const perPacket = quic && packets !== undefined
        return {
          'MB/s': megabytes / seconds,
          'server CPU µs/MB': serverMicros / megabytes,
          'client CPU µs/MB': clientMicros / megabytes,
          'server CPU µs/packet': perPacket ? serverMicros / packets : undefined,
          'client CPU µs/packet': perPacket ? clientMicros / packets : undefined,
          'packets/MB': perPacket ? packets / megabytes : undefined
        }
      }
    }
  }

  return {
    name: 'bulk',
    title: `${megabytes} MB in one response`,
    sides: [side('quicgate serve → fetch', serve, fetchArgs, true), side('node:http → undici', http, httpArgs, false)],
    async close() {
      await Promise.all([stop(serve), stop(http)])
    }
  }
}

function writeLargeFile(path, length) {
  const file = openSync(path, 'w')
  const block = Buffer.alloc(1 << 20)
  for (let i = 0; i < block.length; i++) block[i] = (i * 31 + (i >> 8)) & 0xff
  for (let at = 0; at < length; at += block.length) writeSync(file, block)
  ftruncateSync(file, length)
  closeSync(file)
}
