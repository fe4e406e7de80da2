/** The programs under measurement: started, awaited, asked for their processor time, ended. */
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const READY_TIMEOUT_MS = 20_000
/** Longest time that a program may take for what it was asked to do. */
const ANSWER_TIMEOUT_MS = 300_000
/** Of the times in /proc: Linux says 100 a second on every platform that Node runs on. */
const TICK_MICROS = 10_000

/** The built command line. */
export const cli = join(here, '../dist/cli/main.js')

/** Path of a program in bench/children. */
export function child(name) {
  return join(here, 'children', name)
}

const all = new Set()
const cleaners = []
let logs
let started = 0

/**
 * Starts node with `args`. Loaded into it is usage.mjs, which answers {@link cpuMicros} and {@link memory}.
 * @param {string[]} args the script and its arguments
 * @param {{
 *   pin?: string, usageFile?: string, env?: Record<string, string>, prefix?: string[]
 * }} options `pin`: a CPU list for taskset; `usageFile`: written at the end; `prefix`: a command that runs the rest
 */
export function start(args, { usageFile, env, ...options } = {}) {
  const usage = pathToFileURL(join(here, 'usage.mjs'))
  const parent = String(process.pid)
  const ours = { NODE_ENV: 'production', NODE_OPTIONS: `--import ${usage}`, QUICGATE_BENCH_PARENT: parent, ...env }
  if (usageFile !== undefined) ours.QUICGATE_BENCH_USAGE = usageFile
  const program = spawnLogged([process.execPath, ...args], 'ipc', { ...options, env: ours })
  program.answers = true
  return program
}

/** Starts any program; its standard input ends when it has to. Options as those of {@link start}. */
export function startOther(command, options = {}) {
  return spawnLogged(command, 'pipe', options)
}

function spawnLogged(command, kind, { pin, env, prefix = [] }) {
  const [file, ...args] = [...(pin === undefined ? [] : ['taskset', '-c', pin]), ...prefix, ...command]
  // Output goes to a file: reading access logs from a pipe here would take processor time from what is measured.
  logs ??= mkdtempSync(join(tmpdir(), 'quicgate-bench-logs-'))
  const log = join(logs, String(started++))
  const out = openSync(log, 'w')
  const stdio = kind === 'ipc' ? ['ignore', out, out, 'ipc'] : ['pipe', out, out]
  const program = spawn(file, args, { env: { ...process.env, ...env }, stdio })
  closeSync(out)
  program.log = log
  program.on('error', (error) => (program.failure = error))
  program.stdin?.on('error', () => {})
  all.add(program)
  program.once('exit', () => all.delete(program))
  return program
}

/** What the program has printed so far. */
export function output(program) {
  return readFileSync(program.log, 'utf8')
}

function hasEnded(program) {
  return program.exitCode !== null || program.signalCode !== null || program.failure !== undefined
}

function described(program) {
  return `${program.spawnargs.join(' ')}: ${program.failure?.message ?? program.exitCode ?? program.signalCode ?? 'runs'}`
}

/** Resolves with the match when the program has printed what `pattern` (a text or RegExp) says. */
export async function ready(program, pattern) {
  const until = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    const printed = output(program)
    const match = typeof pattern === 'string' ? (printed.includes(pattern) ? [pattern] : null) : pattern.exec(printed)
    if (match !== null) return match
    if (hasEnded(program) || Date.now() > until) {
      throw new Error(`${described(program)}, did not print ${pattern}:\n${printed.slice(-4000)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** The next message of the program that has the property `key`; its value. */
export async function message(program, key) {
  const ended = new AbortController()
  const onExit = () => ended.abort(new Error(`${described(program)}:\n${output(program).slice(-4000)}`))
  if (hasEnded(program)) onExit()
  program.once('exit', onExit)
  const timer = setTimeout(() => ended.abort(new Error(`${described(program)}, no answer`)), ANSWER_TIMEOUT_MS)
  try {
    for (;;) {
      const [value] = await once(program, 'message', { signal: ended.signal })
      if (value !== null && typeof value === 'object' && key in value) return value[key]
    }
  } catch (error) {
    throw ended.signal.aborted ? ended.signal.reason : error
  } finally {
    clearTimeout(timer)
    program.off('exit', onExit)
  }
}

/** Microseconds of processor time, user and system, that the program has used since it started. */
export async function cpuMicros(program) {
  if (!program.answers) return procMicros(program.pid)
  const answer = message(program, 'usage')
  program.send('usage')
  return (await answer).cpuMicros
}

/** The same of any process, from /proc, in steps of 10 ms; NaN where there is no /proc. */
function procMicros(pid) {
  return procStat(pid)?.micros ?? NaN
}

/** Parent and processor time of a process; undefined if there is none, or no /proc. */
function procStat(pid) {
  try {
    // The name, in brackets, may hold spaces. What follows begins with the third field; utime is the 14th.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')
    return { parent: Number(fields[1]), micros: (Number(fields[11]) + Number(fields[12])) * TICK_MICROS }
  } catch {
    return undefined
  }
}

/** Processor time, microseconds, of the processes that a program has started, by process id (Linux; none elsewhere). */
export function childrenMicros(program) {
  const found = new Map()
  if (process.platform !== 'linux') return found
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const stat = procStat(pid)
    if (stat?.parent === program.pid) found.set(pid, stat.micros)
  }
  return found
}

/** Resident memory, bytes (Linux; NaN elsewhere). */
export function residentBytes(program) {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${program.pid}/status`, 'utf8'))[1]) * 1024
  } catch {
    return NaN
  }
}

/** `process.memoryUsage()` of a Node program after garbage collection. */
export async function memory(program) {
  const answer = message(program, 'memory')
  program.send('memory')
  return answer
}

/** Processor time that `programs` use while `work` runs, microseconds each. */
export async function cpuDuring(programs, work) {
  const before = await Promise.all(programs.map(cpuMicros))
  const result = await work()
  const after = await Promise.all(programs.map(cpuMicros))
  return { result, micros: after.map((value, i) => value - before[i]) }
}

/**
 * Runs a load program of bench/children/load.mjs, which warms up first: the times of `servers` are taken from when it
 * is warm.
 * @returns what it measured, and its own and the servers' processor time in microseconds
 */
export async function runLoad(args, servers, options) {
  const program = start(args, options)
  await message(program, 'warm')
  const { result, micros } = await cpuDuring([program, ...servers], () => {
    const done = message(program, 'done')
    program.send('go')
    return done
  })
  program.send('end')
  await stop(program)
  const [clientMicros, ...serverMicros] = micros
  return { ...result, clientMicros, serverMicros }
}

/** Runs a Node program to its end; what it printed and its processor time in microseconds. */
export async function run(args, { usageFile, ...options }) {
  const program = start(args, { usageFile, ...options })
  await ended(program)
  return { output: output(program), cpuMicros: JSON.parse(readFileSync(usageFile, 'utf8')).cpuMicros }
}

/** Runs any program to its end; what it printed. */
export async function runOther(command, options) {
  const program = startOther(command, options)
  await ended(program)
  return output(program)
}

async function ended(program) {
  const timer = setTimeout(() => program.kill('SIGKILL'), ANSWER_TIMEOUT_MS)
  // A program that cannot be started says `error` and no `exit`.
  await Promise.race([once(program, 'exit'), once(program, 'error')]).catch(() => {})
  clearTimeout(timer)
  if (program.exitCode !== 0) throw new Error(`${described(program)}:\n${output(program).slice(-4000)}`)
}

/** Ends programs. */
export async function stop(...programs) {
  await Promise.all(programs.map(stopOne))
}

/** Ends programs that nobody needs to take leave of their peers. */
export async function kill(...programs) {
  const running = programs.filter((program) => !hasEnded(program))
  const exited = running.map((program) => once(program, 'exit'))
  for (const program of running) program.kill('SIGKILL')
  await Promise.all(exited)
}

async function stopOne(program) {
  if (hasEnded(program)) return
  const exited = once(program, 'exit')
  program.kill('SIGTERM')
  const timer = setTimeout(() => program.kill('SIGKILL'), 5000)
  await exited
  clearTimeout(timer)
}

/** Has `clean` called when everything ends, however it ends; the last one first. */
export function onCleanUp(clean) {
  cleaners.push(clean)
}

/** Ends whatever still runs, and removes what was made. Synchronous, for the last moment. */
export function cleanUp() {
  for (const program of all) program.kill('SIGKILL')
  for (const clean of cleaners.splice(0).reverse()) clean()
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
