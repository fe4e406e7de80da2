/**
 * `quicgate demo`: sample upstream, gateway and forwarder in one process on loopback, with a certificate made for it.
 * Runs on config/gateway.yaml, routes/ and config/forwarder.yaml as they are in the package.
 */
import type { Command } from 'commander'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createDevelopmentCertificates } from '../config/development-certificates.js'
import { loadForwarderConfig } from '../config/forwarder-schema.js'
import { loadGatewayConfig } from '../config/gateway-config.js'
import { formatHostPort } from '../config/values.js'
import { Forwarder } from '../forwarder/forwarder.js'
import { Gateway } from '../gateway/gateway.js'
import { createLogger } from '../observe/logger.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import { parseInteger } from './arguments.js'
import { engineOf } from './engine-option.js'
import { createRecorder, keylogOption, qlogOption } from './observe-options.js'
import type { ObserveFlags } from './observe-options.js'
import { CliError, closeOnSignal, paint, say, warn } from './output.js'
import { startSampleUpstream } from './sample-upstream.js'
import type { SampleUpstream } from './sample-upstream.js'

const LOOPBACK = '127.0.0.1'
const UPSTREAM_PORT = 9000
const GATEWAY_PORT = 4433

/** Adds the command to the program. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('run sample upstream, gateway and forwarder on loopback and try the whole way')
    .option('--port <port>', 'TCP port of the forwarder', parseInteger(0, 65535), 8080)
    .option('--dir <dir>', 'where certificate and keys are kept', '.quicgate')
    .option('--verbose', 'show the log of gateway and forwarder')
    .addOption(keylogOption())
    .addOption(qlogOption())
    .action(async (flags: DemoFlags) => {
      const recorder = createRecorder(flags, {}, warn)
      const demo = await startDemo(flags, recorder.observe)
      greet(demo)
      closeOnSignal(async () => {
        await demo.close()
        recorder.close()
      })
    })
}

interface DemoFlags extends ObserveFlags {
  port: number
  dir: string
  verbose?: boolean
}

interface Demo {
  readonly upstream: string
  readonly gateway: string
  readonly forwarder: string
  close(): Promise<void>
}

/** @param observe sees both ends of each connection */
async function startDemo({ port, dir, verbose }: DemoFlags, observe: ObserveConnection | undefined): Promise<Demo> {
  const directory = resolve(dir)
  await prepareCertificates(directory)
  const started: { close(): Promise<void> }[] = []
  const close = async (): Promise<void> => {
    for (const part of started.reverse()) await part.close()
  }
  try {
    const upstream = await startUpstream()
    started.push(upstream)
    const logger = createLogger({ level: verbose === true ? 'info' : 'warn' })
    const environment = {
      ...process.env,
      QUICGATE_CERTIFICATES: directory,
      QUICGATE_UPSTREAM: `http://${formatHostPort(upstream.address)}`,
      QUICGATE_FORWARDER: `${LOOPBACK}:${port}`
    }
    // Only the forwarder's port is somebody's business: the others move on if theirs are taken.
    const wanted = `${LOOPBACK}:${(await isUdpPortFree(GATEWAY_PORT)) ? GATEWAY_PORT : 0}`
    const gatewayConfig = loadGatewayConfig(configFile('gateway.yaml'), { ...environment, QUICGATE_GATEWAY: wanted })
    const engine = engineOf({}, (problem) => logger.warn(problem))
    const gateway = await Gateway.start(gatewayConfig, logger, { observe, engine })
    started.push({ close: () => gateway.close({ drainMs: 1_000 }) })
    const address = formatHostPort(gateway.addresses[0]!)
    const config = loadForwarderConfig(configFile('forwarder.yaml'), { ...environment, QUICGATE_GATEWAY: address })
    const forwarderConfig = { ...config, timeouts: { ...config.timeouts, drain: 1_000 } }
    const forwarder = await Forwarder.start(forwarderConfig, logger, observe, engine)
    started.push(forwarder)
    return {
      upstream: formatHostPort(upstream.address),
      gateway: address,
      forwarder: formatHostPort(forwarder.address),
      close
    }
  } catch (error) {
    await close()
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    const remedy = `choose another with --port, such as --port ${port + 1}`
    throw new CliError(`port ${port} is in use by another program: ${remedy}`)
  }
}

/** A file of the package, wherever it is installed. */
function configFile(name: string): string {
  return fileURLToPath(new URL(`../../config/${name}`, import.meta.url))
}

/** Makes authority and certificate unless they are there. */
async function prepareCertificates(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const complete = ['ca.pem', 'cert.pem', 'key.pem'].every((name) => existsSync(join(directory, name)))
  if (complete) return
  await createDevelopmentCertificates({ dir: directory, hosts: ['localhost', LOOPBACK, '::1'], force: true })
}

async function startUpstream(): Promise<SampleUpstream> {
  try {
    return await startSampleUpstream({ host: LOOPBACK, port: UPSTREAM_PORT })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    return startSampleUpstream({ host: LOOPBACK, port: 0 })
  }
}

async function isUdpPortFree(port: number): Promise<boolean> {
  const socket = createSocket('udp4')
  try {
    socket.bind({ port, address: LOOPBACK, exclusive: true })
    await once(socket, 'listening')
    return true
  } catch {
    return false
  } finally {
    socket.close()
  }
}

function greet({ upstream, gateway, forwarder }: Demo): void {
  const curl = (text: string): string => `  ${paint('bold', text)}`
  say(`curl --HTTP/1.1--> forwarder ${forwarder} --QUIC--> gateway ${gateway} --HTTP/1.1--> upstream ${upstream}`)
  say('')
  say('Try it:')
  say(curl(`curl http://${forwarder}/`))
  say(curl(`curl http://${forwarder}/headers`))
  say(curl(`curl -x http://${forwarder} http://any.host.example/headers`))
  say('')
  say('Ctrl-C ends all of it.')
}
