/**
 * The peer on quic-go: its server, proxy, client and load generator as processes.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { buildGoPeer, missingGo } from '../interop/go-peer/build.mjs'
import { run } from './programs.js'

/** The versions that quic-go v0.10.2 speaks, oldest first. */
export const goVersions = ['Q039', 'Q043', 'Q044'] as const

/** How long a whole command may take, ms. */
const CLIENT_TIMEOUT_MS = 60_000

/**
 * Why tests against the peer have to be skipped, in words; undefined if they run. Where all tools are required they
 * run in any case, and fail without Go.
 */
export async function goPeerProblem(): Promise<string | undefined> {
  return process.env['QUICGATE_REQUIRE_TOOLS'] === '1' ? undefined : missingGo()
}

/** How the peer decides whether to believe a server. */
export interface GoTrust {
  /** Dials 127.0.0.1 at this port, whatever the URL says. */
  readonly port: number
  /** PEM file of authorities; any certificate is good if missing. */
  readonly ca?: string
  /** The name that the certificate must bear, if not that of the URL. */
  readonly serverName?: string
  /** Labels such as `Q043`, preferred first; all if missing. */
  readonly versions?: readonly string[]
  /** More flags of the command. */
  readonly flags?: readonly string[]
}

/** One request of {@link goClient}. */
export interface GoResult {
  readonly url: string
  /** What the connection negotiated, such as `Q043`. */
  readonly version?: string
  readonly status?: number
  /** Names in lower case, sorted. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly bodyLength: number
  /** Of the body, hex. */
  readonly sha256?: string
  readonly ms: number
  readonly error?: string
}

/** What {@link goBench} measured; times in ms. */
export interface GoBenchResult {
  readonly mode: 'requests' | 'handshakes'
  readonly version: string
  readonly connections: number
  readonly streams: number
  readonly done: number
  readonly failed: number
  readonly firstError?: string
  readonly seconds: number
  readonly perSecond: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly megabytesPerSecond: number
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly cpuSeconds: number
  readonly timedOut: boolean
}

/** How a command of the peer ended. */
export interface GoFinished<T> {
  readonly code: number
  readonly stderr: string
  /** Its lines, in the order in which they were printed. */
  readonly lines: T[]
}

/** Where {@link GoServer} listens and who it is. */
export interface GoServerOptions {
  /** PEM files. */
  readonly cert: string
  readonly key: string
  readonly versions?: readonly string[]
  /** `http://host:port`: be a reverse proxy in front of this, instead of the test server. */
  readonly upstream?: string
}

/** A server or reverse proxy of the peer. It ends with this process if it is not stopped before. */
export class GoServer {
  private constructor(
    private readonly child: ChildProcess,
    /** UDP, on 127.0.0.1. */
    readonly port: number
  ) {}

  static async start(o: GoServerOptions): Promise<GoServer> {
    const command = o.upstream === undefined ? ['server'] : ['proxy', '--upstream', o.upstream]
    const files = ['--cert', o.cert, '--key', o.key]
    const args = [...command, '--listen', '127.0.0.1:0', ...files, ...versionFlags(o.versions), '--until-stdin-closes']
    const child = spawn(await buildGoPeer(), args, { stdio: ['pipe', 'pipe', 'pipe'] })
    let stderr = ''
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
    for await (const line of createInterface({ input: child.stdout })) {
      const { event, port } = JSON.parse(line) as { event: string; port: number }
      if (event === 'listening') return new GoServer(child, port)
    }
    throw new Error(`quicgo-peer ${args.join(' ')} did not start:\n${stderr}`)
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exited = once(this.child, 'exit')
    this.child.stdin!.end()
    await exited
  }
}

/** Requests URLs, by default one after another on one connection. */
export async function goClient(o: GoTrust, ...urls: string[]): Promise<GoFinished<GoResult>> {
  return command('client', o, [`--timeout=${CLIENT_TIMEOUT_MS}ms`], urls)
}

/** Puts load on a server: see `quicgo-peer bench-client --help` for the flags. */
export async function goBench(o: GoTrust, url: string): Promise<GoFinished<GoBenchResult>> {
  const finished = await command<GoBenchResult & { event: string }>('bench-client', o, [], [url])
  return { ...finished, lines: finished.lines.filter(({ event }) => event === 'done') }
}

async function command<T>(name: string, o: GoTrust, flags: string[], urls: string[]): Promise<GoFinished<T>> {
  const trust = o.ca === undefined ? ['--insecure'] : ['--ca', o.ca]
  const serverName = o.serverName === undefined ? [] : ['--server-name', o.serverName]
  const dial = ['--connect', `127.0.0.1:${o.port}`, ...serverName, ...trust, ...versionFlags(o.versions)]
  const args = [name, ...dial, ...flags, ...(o.flags ?? []), ...urls]
  const { code, stdout, stderr } = await run(await buildGoPeer(), args)
  const lines = stdout.toString().split('\n').filter((line) => line !== '')
  return { code, stderr, lines: lines.map((line) => JSON.parse(line) as T) }
}

function versionFlags(versions: readonly string[] | undefined): string[] {
  return versions === undefined ? [] : ['--versions', versions.join(',')]
}
