/**
 * The whole way as real processes: upstream, gateway, forwarder, each on a free port of loopback.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freeUdpPort, Program, quicgate } from './programs.js'

export interface ChainOptions {
  /** `http://host:port` of the upstream; the sample upstream is started if missing. */
  readonly upstream?: string
  /** More lines of gateway.yaml, for its listener. */
  readonly listenerYaml?: string
  /** More flags of the forwarder. */
  readonly forwardFlags?: string[]
}

/** A directory for one test file, removed by {@link removeScratch}. */
export function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'quicgate-e2e-'))
}

export function removeScratch(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
}

/** Makes ca.pem, cert.pem and key.pem in a directory. */
export async function makeCertificates(directory: string, ...hosts: string[]): Promise<void> {
  const names = hosts.length === 0 ? ['localhost', '127.0.0.1'] : hosts
  const made = await quicgate(['cert', '--dir', directory, ...names.flatMap((name) => ['--host', name])])
  if (made.code !== 0) throw new Error(made.stderr)
}

/** The parts, running. */
export class Chain {
  upstream: Program | undefined
  upstreamUrl = ''
  gatewayPort = 0
  gateway!: Program
  forwarder!: Program
  /** `http://127.0.0.1:port` of the forwarder. */
  url = ''
  readonly directory = scratch()

  static async start(o: ChainOptions = {}): Promise<Chain> {
    const chain = new Chain()
    await makeCertificates(chain.certificates)
    if (o.upstream === undefined) await chain.startUpstream()
    else chain.upstreamUrl = o.upstream
    await chain.startGateway(o.listenerYaml)
    await chain.startForwarder(o.forwardFlags)
    return chain
  }

  get certificates(): string {
    return join(this.directory, 'certs')
  }

  async startUpstream(port = 0): Promise<void> {
    this.upstream = await Program.start(['sample-upstream', '--listen', `127.0.0.1:${port}`], /http:\/\/[^/]+\//)
    this.upstreamUrl = /http:\/\/[^/]+/.exec(this.upstream.stdout)![0]
  }

  /** Starts the gateway, on the port it had before if it had one. */
  async startGateway(listenerYaml = ''): Promise<void> {
    if (this.gatewayPort === 0) this.gatewayPort = await freeUdpPort()
    mkdirSync(join(this.directory, 'routes'), { recursive: true })
    writeFileSync(
      join(this.directory, 'routes', 'all.yaml'),
      `routes:\n  - name: all\n    upstreams:\n      - ${this.upstreamUrl}\n`
    )
    const config = join(this.directory, 'gateway.yaml')
    writeFileSync(
      config,
      `listeners:\n  - address: 127.0.0.1:${this.gatewayPort}\n    certificates:\n` +
        `      - cert: certs/cert.pem\n        key: certs/key.pem\n${listenerYaml}` +
        'routes: routes/*.yaml\ndrainTimeout: 1s\n'
    )
    this.gateway = await Program.start(['gateway', '--config', config], /listening for QUIC/)
  }

  async startForwarder(flags: string[] = []): Promise<void> {
    const to = `https://localhost:${this.gatewayPort}`
    const connect = `127.0.0.1:${this.gatewayPort}`
    const ca = join(this.certificates, 'ca.pem')
    const args = ['forward', '--listen', '127.0.0.1:0', '--to', to, '--connect', connect, '--ca', ca, ...flags]
    this.forwarder = await Program.start(args, /listening on http/)
    this.url = /listening on (http:\/\/[\d.]+:\d+)/.exec(this.forwarder.stdout)![1]!
  }

  /** Ends all parts and removes the files. */
  async stop(): Promise<void> {
    await Promise.all([this.forwarder, this.gateway, this.upstream].map((part) => part?.stop()))
    removeScratch(this.directory)
  }
}
