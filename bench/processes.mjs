/** The programs under measurement: started, awaited, asked for their processor time, ended. */
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const READY_TIMEOUT_MS = 20_000

/** The built command line. */
export const cli = join(here, '../dist/cli/main.js')

/** Path of a program in bench/children. */
export function child(name) {
  return join(here, 'children', name)
}

const all = new Set()
let logs
let started = 0

/**
 * Starts node with `args`.
 * @param {string[]} args the script and its arguments
 * @param {{ pin?: string, usageFile?: string }} options `pin`: a CPU list for taskset; `usageFile`: written at the end
 */
export function start(args, { pin, usageFile } = {}) {
  const usage = pathToFileURL(join(here, 'usage.mjs'))
  const env = { ...process.env, NODE_ENV: 'production', NODE_OPTIONS: `--import ${usage}` }
  if (usageFile !== undefined) env.QUICGATE_BENCH_USAGE = usageFile
  const command = [...(pin === undefined ? [] : ['taskset', '-c', pin]), process.execPath, ...args]
  // Output goes to a file: reading access logs from a pipe here would take processor time from what is measured.
  logs ??= mkdtempSync(join(tmpdir(), 'quicgate-bench-logs-'))
  const log = join(logs, String(started++))
  const file = openSync(log, 'w')
  const program = spawn(command[0], command.slice(1), { env, stdio: ['ignore', file, file, 'ipc'] })
  closeSync(file)
  program.log = log
  all.add(program)
  program.once('exit', () => all.delete(program))
  return program
}

/** What the program has printed so far. */
export function output(program) {
  return readFileSync(program.log, 'utf8')
}

/** Resolves when the program has printed `text`. */
export async function ready(program, text) {
  const until = Date.now() + READY_TIMEOUT_MS
  while (!output(program).includes(text)) {
    if (program.exitCode !== null || Date.now() > until) {
      throw new Error(`${program.spawnargs.join(' ')} did not start:\n${output(program)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** The next message of the program that has the property `key`; its value. */
export async function message(program, key) {
  const ended = new AbortController()
  const onExit = () => ended.abort(new Error(`${program.spawnargs.join(' ')} ended:\n${output(program)}`))
  program.once('exit', onExit)
  try {
    for (;;) {
      const [value] = await once(program, 'message', { signal: ended.signal })
      if (value !== null && typeof value === 'object' && key in value) return value[key]
    }
  } catch (error) {
    throw ended.signal.aborted ? ended.signal.reason : error
  } finally {
    program.off('exit', onExit)
  }
}

/** Microseconds of processor time that the program has used since it started. */
export async function cpuMicros(program) {
  const answer = message(program, 'usage')
  program.send('usage')
  return (await answer).cpuMicros
}

/** Runs a program to its end; its standard output and its processor time in microseconds. */
export async function run(args, { pin, usageFile }) {
  const program = start(args, { pin, usageFile })
  const [code] = await once(program, 'exit')
  if (code !== 0) throw new Error(`${program.spawnargs.join(' ')} ended with ${code}:\n${output(program)}`)
  return { output: output(program), cpuMicros: JSON.parse(readFileSync(usageFile, 'utf8')).cpuMicros }
}

/** Ends a program. */
export async function stop(program) {
  if (program.exitCode !== null || program.signalCode !== null) return
  const ended = once(program, 'exit')
  program.kill('SIGTERM')
  const timer = setTimeout(() => program.kill('SIGKILL'), 5000)
  await ended
  clearTimeout(timer)
}

/** Ends whatever still runs, and removes what was printed. */
export function stopAll() {
  for (const program of all) program.kill('SIGKILL')
  if (logs !== undefined) rmSync(logs, { recursive: true, force: true })
}

/** A port on loopback that nobody uses now. */
export async function freePort(kind) {
  const socket = kind === 'udp' ? createSocket('udp4') : createServer()
  if (kind === 'udp') socket.bind(0, '127.0.0.1')
  else socket.listen(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  return port
}

/** UDP datagrams that this machine has sent so far (Linux; undefined elsewhere). */
export function datagramsSent() {
  let lines
  try {
    lines = readFileSync('/proc/net/snmp', 'utf8').split('\n')
  } catch {
    return undefined
  }
  const [names, values] = lines.filter((line) => line.startsWith('Udp:')).map((line) => line.split(' '))
  return Number(values[names.indexOf('OutDatagrams')])
}
