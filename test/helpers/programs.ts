/**
 * Real processes for end-to-end tests: started, awaited, ended; and the tools that talk to them.
 */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { ensureBuilt, mainFile } from './build.js'

/** The version that two of our programs agree on unless told otherwise. */
export const newestVersion = supportedVersions[0]!.label

const START_TIMEOUT_MS = 20_000
const running = new Set<Program>()

/** How a process ended and what it printed. */
export interface Finished {
  /** Exit code; -1 if a signal ended it. */
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

/** A `quicgate` process. */
export class Program {
  stdout = ''
  stderr = ''
  private readonly exited: Promise<number>

  private constructor(
    readonly child: ChildProcess,
    private readonly what: string
  ) {
    child.stdout!.on('data', (bytes: Buffer) => (this.stdout += bytes.toString()))
    child.stderr!.on('data', (bytes: Buffer) => (this.stderr += bytes.toString()))
    this.exited = once(child, 'close').then(([code]) => (code as number | null) ?? -1)
    running.add(this)
  }

  /** Starts `quicgate …args` and waits until its output matches `ready`. */
  static async start(args: string[], ready: RegExp, env: NodeJS.ProcessEnv = {}): Promise<Program> {
    await ensureBuilt()
    const child = spawn(process.execPath, [mainFile, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    const program = new Program(child, args.join(' '))
    await program.waitFor(ready)
    return program
  }

  /** The match of `pattern` in what was printed, waiting for it. */
  async waitFor(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = Date.now() + START_TIMEOUT_MS
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr)
      if (match !== null) return match
      if (this.child.exitCode !== null || Date.now() > deadline) {
        throw new Error(`${pattern} was not printed: ${this.summary}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** The log lines so far, parsed. */
  get log(): Record<string, unknown>[] {
    const lines = this.stdout.split('\n').filter((line) => line.startsWith('{'))
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** What it was, how it stands, and the end of what it printed: for messages of failing tests. */
  get summary(): string {
    const { exitCode, signalCode } = this.child
    const state = exitCode === null && signalCode === null ? 'runs' : `ended (${exitCode ?? signalCode})`
    return `quicgate ${this.what} ${state}\n${this.stdout.slice(-2000)}\n${this.stderr.slice(-2000)}`
  }

  /** Resident memory, bytes (Linux); 0 once it has ended. */
  get residentBytes(): number {
    try {
      return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.child.pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
    } catch {
      return 0
    }
  }

  /** Ends the process; its exit code, -1 if the signal killed it. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
    running.delete(this)
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal)
    return this.exited
  }
}

/** Ends whatever a test has left running. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((program) => program.stop('SIGKILL')))
}

/** All optional. `input` goes to the program's stdin; the environment adds to this process's. */
export interface RunOptions {
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

/** Runs a program to its end. */
export async function run(command: string, args: string[], o: RunOptions = {}): Promise<Finished> {
  const child = spawn(command, args, { env: { ...process.env, ...o.env }, cwd: o.cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes))
  child.stdin.on('error', () => {})
  child.stdin.end(o.input)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code: code ?? -1, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
}

/** Runs `quicgate …args` to its end. */
export async function quicgate(args: string[], o: RunOptions = {}): Promise<Finished> {
  await ensureBuilt()
  return run(process.execPath, [mainFile, ...args], o)
}

/** Runs curl quietly, errors on stderr. */
export function curl(...args: string[]): Promise<Finished> {
  return run('curl', ['--silent', '--show-error', '--noproxy', '', '--max-time', '120', ...args])
}

/** Whether a program is installed, or has to be: tests skip without their tool, and fail where all are required. */
export function hasTool(name: string): boolean {
  if (process.env['QUICGATE_REQUIRE_TOOLS'] === '1') return true
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A UDP port of loopback that nobody uses now. */
export async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  return port
}

/** A TCP port of loopback that nobody uses now. */
export async function freeTcpPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
