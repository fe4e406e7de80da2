/**
 * Builds the image of the Dockerfile in a scratch folder and runs docker-compose.yml's services from it on loopback:
 *
 *   node test/delivery/dockerfile-in-scratch.mjs
 *
 * Checks that each program of the image starts, that a request goes through all of them, that the health check tells
 * a working gateway from a stopped one, and that SIGTERM ends everything with exit code 0.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { buildInScratch } from './dockerfile.mjs'

const PATIENCE_MS = 30_000
const context = join(dirname(fileURLToPath(import.meta.url)), '../..')
const scratch = mkdtempSync(join(tmpdir(), 'quicgate-image-'))
const running = new Map()

function say(text) {
  process.stdout.write(`${text}\n`)
}

function check(good, what) {
  if (!good) throw new Error(`failed: ${what}`)
  say(`ok: ${what}`)
}

async function freePort(kind) {
  const socket = kind === 'udp' ? createSocket('udp4') : createServer()
  if (kind === 'udp') socket.bind(0, '127.0.0.1')
  else socket.listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  return port
}

function start(image, name, args, replacements) {
  const words = [...image.entrypoint, ...args].map((word) => replaceAll(image.map(word), replacements))
  say(`run: ${words.join(' ')}`)
  const child = spawn(words[0], words.slice(1), {
    cwd: image.path(image.workdir),
    env: image.environment(),
    stdio: ['ignore', 'inherit', 'inherit']
  })
  running.set(name, child)
  child.once('exit', (code, signal) => {
    if (running.get(name) === child) say(`${name} ended by itself: ${code ?? signal}`)
  })
  return child
}

async function stop(name) {
  const child = running.get(name)
  running.delete(name)
  child.kill('SIGTERM')
  const [code, signal] = child.exitCode === null ? await once(child, 'exit') : [child.exitCode, child.signalCode]
  check(code === 0, `${name} ends with exit code 0 on SIGTERM (${code ?? signal})`)
}

async function eventually(what, attempt) {
  const until = Date.now() + PATIENCE_MS
  while (Date.now() < until) {
    if (await attempt()) return check(true, what)
    await pause(250)
  }
  check(false, what)
}

function replaceAll(text, replacements) {
  return replacements.reduce((result, [from, to]) => result.replaceAll(from, to), text)
}

function healthy(image, port) {
  const env = image.environment({ QUICGATE_HEALTH_URL: `https://127.0.0.1:${port}/` })
  return spawnSync('/bin/sh', ['-c', image.map(image.healthCheck)], { env, timeout: 15_000 }).status === 0
}

async function main() {
  const image = buildInScratch(context, scratch)
  const { services } = parse(readFileSync(join(context, 'docker-compose.yml'), 'utf8'))

  const help = execFileSync(image.entrypoint[0], ['--help'], { env: image.environment(), encoding: 'utf8' })
  check(/gateway/.test(help) && /forward/.test(help), 'the entry point prints its help')
  check(!readdirSync(image.path('/app/node_modules')).includes('typescript'), 'the image holds no development packages')

  // The services talk over loopback here, so their names and fixed ports give way to free ones.
  const ports = { gateway: await freePort('udp'), forwarder: await freePort('tcp'), upstream: await freePort('tcp') }
  const replacements = [
    ['0.0.0.0:4433', `127.0.0.1:${ports.gateway}`],
    ['0.0.0.0:8080', `127.0.0.1:${ports.forwarder}`],
    ['0.0.0.0:9000', `127.0.0.1:${ports.upstream}`],
    ['sample-upstream:9000', `127.0.0.1:${ports.upstream}`],
    ['https://gateway:4433', `https://localhost:${ports.gateway}`],
    [' /certificates/', ` ${image.path('/certificates')}/`],
    [' /var/lib/quicgate', ` ${image.path('/var/lib/quicgate')}`]
  ]
  cpSync(join(context, 'config/compose'), image.path('/etc/quicgate'), { recursive: true })
  for (const name of ['gateway.yaml', 'forwarder.yaml', 'routes/sample.yaml']) {
    const file = image.path(`/etc/quicgate/${name}`)
    writeFileSync(file, replaceAll(readFileSync(file, 'utf8'), replacements))
  }

  const [shell, ...flags] = services.certificates.entrypoint
  for (const time of ['first', 'second']) {
    const made = spawnSync(shell, [...flags, image.map(services.certificates.command[0])], {
      env: image.environment(),
      stdio: 'inherit'
    })
    check(made.status === 0, `certificates are there after the ${time} start`)
  }

  start(image, 'sample-upstream', services['sample-upstream'].command, replacements)
  start(image, 'gateway', image.command, replacements)
  await eventually('the health check finds the gateway', () => healthy(image, ports.gateway))
  start(image, 'forwarder', services.forwarder.command, replacements)
  await eventually('a request goes through forwarder, gateway and upstream', async () => {
    const response = await fetch(`http://127.0.0.1:${ports.forwarder}/`).catch(() => undefined)
    return response?.status === 200 && /sample upstream/.test(await response.text())
  })

  await stop('sample-upstream')
  check(healthy(image, ports.gateway), 'the gateway stays healthy without its upstream')
  await stop('gateway')
  check(!healthy(image, ports.gateway), 'the health check notices that the gateway is gone')
  await stop('forwarder')
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
} finally {
  for (const child of running.values()) child.kill('SIGKILL')
  running.clear()
  rmSync(scratch, { recursive: true, force: true })
}
