/**
 * `quicgate fetch`: gets URLs over QUIC, as quic_client does.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import { createReadStream, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Readable } from 'node:stream'
import { RequestFailure } from '../client/failure.js'
import { exchange, PromiseBrokenError } from '../client/fetch-exchange.js'
import type { FetchResponse } from '../client/fetch-exchange.js'
import { OriginConnections } from '../client/origin-connections.js'
import type { OriginConnection } from '../client/origin-connections.js'
import { createVerifier } from '../client/trust.js'
import { FileSessionCache } from '../endpoint/session-cache.js'
import type { MtuDiscoveryMode } from '../endpoint/transport-options.js'
import { channelIdFromFile } from '../config/channel-id-file.js'
import { loadCommonCertificates } from '../config/common-certificates.js'
import { mtuDiscoveryModes } from '../config/transport-values.js'
import type { HostPort } from '../config/values.js'
import type { HeaderList } from '../quic/spdy/header-list.js'
import { supportedVersions } from '../quic/wire/versions/registry.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import {
  collectHeader,
  parseConnect,
  parseConnectionOptions,
  parseDuration,
  parseHttpsUrl,
  parseInteger,
  parseMethod
} from './arguments.js'
import { engineOf, engineOption } from './engine-option.js'
import type { EngineFlags } from './engine-option.js'
import { FileSink, NullSink, TurnSink } from './fetch-output.js'
import { handshakeFacts, handshakeLines } from './handshake-report.js'
import { createRecorder, keylogOption, qlogOption } from './observe-options.js'
import type { ObserveFlags } from './observe-options.js'
import { CliError, ExitCode, note, reportError, say, warn } from './output.js'
import { parseVersions } from './versions.js'

interface FetchFlags extends ObserveFlags, EngineFlags {
  connect?: HostPort
  quicVersion?: QuicVersion[]
  method?: string
  data?: string
  header?: [string, string][]
  include?: boolean
  output?: string
  ca?: string[]
  insecure?: boolean
  parallel: number
  json?: boolean
  timeout?: number
  connectTimeout: number
  push: boolean
  forceHol?: boolean
  sessionCache?: string
  commonCertificates?: string[]
  channelId?: string
  connectionOptions?: string[]
  mtuDiscovery: MtuDiscoveryMode
  verbose?: boolean
}

/** Adds the command to the program. */
export function registerFetch(program: Command): void {
  program
    .command('fetch')
    .description('get URLs over QUIC, as quic_client does; exits with 0 if all answers are 2xx or 3xx')
    .argument('<url...>', 'https URLs; those of one origin share a connection', collectUrl)
    .option('--connect <address>', 'dial this address instead of the one in the URL', parseConnect)
    .option('--quic-version <list>', 'versions to offer, preferred first, such as Q036,Q035', parseVersions)
    .option('--method <method>', 'request method (default: GET, with --data POST)', parseMethod)
    .option('--data <data>', 'request body: a text, or @FILE to stream a file')
    .option('-H, --header <header>', "request header 'name: value'; may be repeated", collectHeader)
    .option('-i, --include', 'print status and headers before the body, trailers after it')
    .option('-o, --output <file>', 'write the body to FILE; with several URLs an existing directory')
    .option('--ca <file...>', 'PEM file of authorities to trust instead of the public ones')
    .addOption(new Option('--insecure', 'accept any certificate (experiments only)').conflicts('ca'))
    .option('--parallel <n>', 'requests under way at a time', parseInteger(1, 1000), 1)
    .option('--no-push', 'tell the server to push nothing (without it, pushed answers are taken for later URLs)')
    .option('--force-hol', 'send and receive all bodies on the headers stream (forced head-of-line blocking, Q036)')
    .option('--session-cache <file>', 'remember servers in FILE, and send requests to known ones at once (0-RTT)')
    .option('--common-certificates <path...>', 'PEM files, or directories of such, that the server has too: each is a set')
    .option('--channel-id <file>', 'prove this key (made if missing) to servers that ask who the client is')
    .option('--connection-options <tags>', 'COPT to send, such as SREJ', parseConnectionOptions)
    .addOption(
      new Option('--mtu-discovery <mode>', 'look for larger packets, both ways, up to 1430 (low) or 1450 bytes (high)')
        .choices(mtuDiscoveryModes)
        .default('high')
    )
    .option('-v, --verbose', 'say on stderr how each connection began: version, certificate, rejections and why')
    .option('--json', 'print one line of JSON for each URL instead of the body')
    .option('--timeout <time>', 'give a request up after this time, connecting included', parseDuration)
    .addOption(
      new Option('--connect-timeout <time>', 'give connecting up after this time')
        .argParser(parseDuration)
        .default(10_000, '10s')
    )
    .addOption(engineOption())
    .addOption(keylogOption())
    .addOption(qlogOption())
    .action(async (urls: URL[], flags: FetchFlags) => {
      process.exitCode = await fetchAll(urls, flags)
    })
}

function collectUrl(text: string, before: URL[] = []): URL[] {
  return [...before, parseHttpsUrl(text)]
}

/** One URL, its place in the order, and what has become of it. */
interface Job {
  readonly url: URL
  readonly sink: NullSink | FileSink | TurnSink
  /** Called when the next may have stdout. */
  readonly done: () => void
}

async function fetchAll(urls: URL[], flags: FetchFlags): Promise<ExitCode> {
  const outputs = outputPaths(urls, flags.output)
  const body = bodyOf(flags.data)
  if (flags.insecure === true) warn('--insecure: any certificate is accepted, so anybody can pose as the server')
  const recorder = createRecorder(flags, {}, warn)
  const { sessionCache: file, connectionOptions, mtuDiscovery } = flags
  const sessionCache = file === undefined ? undefined : new FileSessionCache(file, { onWarning: warn })
  const connections = new OriginConnections({
    sessionCache,
    channelIds: flags.channelId === undefined ? undefined : channelIdFromFile(flags.channelId),
    commonCertificates: flags.commonCertificates && loadCommonCertificates(flags.commonCertificates),
    verifier: createVerifier(flags),
    versions: flags.quicVersion ?? supportedVersions,
    observe: recorder.observe,
    engine: engineOf(flags, warn),
    connect: flags.connect,
    connectTimeoutMs: flags.connectTimeout,
    transport: { forceHolBlocking: flags.forceHol, connectionOptions, mtuDiscovery },
    push: flags.push
  })
  let turn = Promise.resolve()
  const jobs = urls.map((url, i): Job => {
    const mine = turn
    let done!: () => void
    turn = new Promise((resolve) => (done = resolve))
    return { url, sink: sinkFor(outputs?.[i], flags, mine), done }
  })
  let worst: ExitCode = ExitCode.ok
  let next = 0
  const work = async (): Promise<void> => {
    while (next < jobs.length) {
      const good = await fetchOne(jobs[next++]!, flags, body, connections)
      if (!good) worst = ExitCode.failed
    }
  }
  await Promise.all(Array.from({ length: Math.min(flags.parallel, jobs.length) }, work))
  await connections.close()
  sessionCache?.flush()
  recorder.close()
  return worst
}

function sinkFor(output: string | undefined, flags: FetchFlags, turn: Promise<void>): Job['sink'] {
  const include = flags.include === true
  if (output !== undefined) return new FileSink(output, include)
  return flags.json === true ? new NullSink() : new TurnSink(process.stdout, include, turn)
}

/** Runs one request to its end and reports on it; whether the answer was 2xx or 3xx. */
async function fetchOne(
  job: Job,
  flags: FetchFlags,
  body: RequestBody | undefined,
  connections: OriginConnections
): Promise<boolean> {
  const { url, sink } = job
  const startedAt = performance.now()
  const give = new AbortController()
  const { timeout } = flags
  const timer = timeout === undefined ? undefined : setTimeout(() => give.abort(tooSlow(url, timeout)), timeout)
  let connection: OriginConnection | undefined
  try {
    const run = (claimPush: boolean): Promise<FetchResponse> =>
      connections.use(url, (given) => {
        connection = given
        give.signal.throwIfAborted()
        const request = { headers: requestHeaders(url, flags, body), body: body?.open() }
        return exchange(given, request, sink, { sha256: flags.json === true, signal: give.signal, claimPush })
      })
    const answered = run(true).catch((error: unknown) => {
      if (error instanceof PromiseBrokenError) return run(false)
      throw error
    })
    const response = await orAborted(answered, give.signal)
    await sink.finish()
    if (flags.json === true) say(JSON.stringify(describe(url, response, connection!, performance.now() - startedAt)))
    return response.status < 400
  } catch (error) {
    if (flags.json === true) say(JSON.stringify(describeFailure(url, error, connection)))
    else if (error instanceof RequestFailure) note(`quicgate fetch: ${url.href}: ${error.message}`)
    else reportError(error)
    return false
  } finally {
    if (flags.verbose === true && connection !== undefined) tellOnce(connection)
    clearTimeout(timer)
    job.done()
  }
}

const told = new WeakSet<OriginConnection>()

/** Says how a connection began, when its first request is over: then it is known. */
function tellOnce(connection: OriginConnection): void {
  if (told.has(connection)) return
  told.add(connection)
  for (const line of handshakeLines(connection.session.connection)) note(`* ${line}`)
}

function tooSlow(url: URL, ms: number): RequestFailure {
  return new RequestFailure({
    type: 'connection_timeout',
    status: 504,
    cause: `${url.host} did not answer completely within ${ms / 1000} s`,
    remedy: 'give it more time with --timeout'
  })
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as RequestFailure), { once: true })
  })
  return Promise.race([promise, aborted])
}

/** The order of the reference client: method, authority, scheme, path, then what was asked for. */
function requestHeaders(url: URL, flags: FetchFlags, body: RequestBody | undefined): HeaderList {
  const own = flags.header ?? []
  const headers: HeaderList = [
    [':method', flags.method ?? (body === undefined ? 'GET' : 'POST')],
    [':authority', own.find(([name]) => name === 'host')?.[1] ?? url.host],
    [':scheme', 'https'],
    [':path', url.pathname + url.search],
    ...own.filter(([name]) => name !== 'host')
  ]
  if (body?.length !== undefined && !own.some(([name]) => name === 'content-length')) {
    headers.push(['content-length', String(body.length)])
  }
  return headers
}

interface RequestBody {
  /** Bytes; undefined for what is no regular file. */
  readonly length: number | undefined
  open(): Readable
}

function bodyOf(data: string | undefined): RequestBody | undefined {
  if (data === undefined) return undefined
  if (!data.startsWith('@')) {
    const bytes = Buffer.from(data)
    return { length: bytes.length, open: () => Readable.from([bytes]) }
  }
  const file = data.slice(1)
  try {
    const stats = statSync(file)
    if (stats.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' })
    return {
      length: stats.isFile() ? stats.size : undefined,
      open: () => createReadStream(file, { highWaterMark: 65_536 })
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a directory' : `cannot be read (${code})`
    throw new CliError(`option '--data @${file}': the file ${why}: expected a file to send`)
  }
}

/** Where the bodies go: undefined for stdout. */
function outputPaths(urls: URL[], output: string | undefined): string[] | undefined {
  if (output === undefined) return undefined
  const isDirectory = statSync(output, { throwIfNoEntry: false })?.isDirectory() === true
  if (!isDirectory && urls.length > 1) {
    throw new CliError(`option '-o ${output}': with several URLs an existing directory is expected`)
  }
  if (!isDirectory) return [output]
  const paths = urls.map((url) => join(output, basename(decodeURI(url.pathname)) || 'index.html'))
  const twice = paths.find((path, i) => paths.indexOf(path) !== i)
  if (twice !== undefined) throw new CliError(`option '-o ${output}': two of the URLs would be written to ${twice}`)
  return paths
}

function round(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 1000) / 1000
}

function describe(url: URL, response: FetchResponse, connection: OriginConnection, totalMs: number): object {
  const { version, status, headers, trailers, bodyLength, sha256, pushed, firstByteMs } = response
  return {
    url: url.href,
    version,
    status,
    headers: headers.filter(([name]) => !name.startsWith(':')),
    trailers,
    bodyLength,
    sha256,
    pushed: pushed || undefined,
    handshake: handshakeFacts(connection.session.connection),
    path: pathFacts(connection),
    timings: {
      connect: round(connection.connectMs),
      handshake: round(connection.handshakeMs),
      firstByte: round(firstByteMs),
      total: round(totalMs)
    }
  }
}

/** What the connection has seen of its path so far, by all its requests. */
function pathFacts({ client: { connection } }: OriginConnection): object {
  const { packetsSent, packetsReceived, packetsLost } = connection.stats
  const { maxPacketLength, smoothedRtt } = connection
  return { packetsSent, packetsReceived, packetsLost, packetLength: maxPacketLength, rtt: round(smoothedRtt / 1000) }
}

function describeFailure(url: URL, error: unknown, connection: OriginConnection | undefined): object {
  const { type, code, message } = error as Partial<RequestFailure> & Error
  const quic = connection?.session.connection
  const version = quic?.version.label
  const handshake = quic && handshakeFacts(quic)
  return { url: url.href, version, handshake, error: { type: type ?? 'proxy_internal_error', code, message } }
}
