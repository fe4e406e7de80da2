/**
 * How the commands talk to a person: colours on terminals only, one message for one mistake, documented exit codes.
 */
import closeWithGrace from 'close-with-grace'
import { styleText } from 'node:util'

/** Exit codes of every command, as README documents them. */
export const ExitCode = {
  /** The job is done. */
  ok: 0,
  /** The job was understood and failed: a connection, a request, a file that went away. */
  failed: 1,
  /** The job was not understood: arguments, configuration, certificates, a port in use. */
  usage: 2
} as const
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]

/** A failure whose message is already fit for a person. {@link reportError} prints it without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError'

  /**
   * @param message what was wrong, what was expected and what to do, in one or a few lines
   * @param exitCode the exit code the process ends with
   */
  constructor(
    message: string,
    readonly exitCode: ExitCode = ExitCode.usage
  ) {
    super(message)
  }
}

type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

/** Whether `stream` may be coloured: a terminal, and neither NO_COLOR nor a dumb one. */
export function mayColour(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
}

/** `text` in `style` if `stream` is a terminal that may be coloured, else `text`. */
export function paint(style: Style | Style[], text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return mayColour(stream) ? styleText(style, text, { validateStream: false }) : text
}

/** Writes one line to stdout. */
export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Writes one line to stderr, for what is not the command's product: progress, warnings. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Writes a warning to stderr. */
export function warn(text: string): void {
  note(`${paint(['yellow', 'bold'], 'warning:', process.stderr)} ${text}`)
}

/** Errors of the layers below whose messages are written for a person, by name, and the exit code that each means. */
const personErrors: Record<string, ExitCode> = {
  CliError: ExitCode.usage,
  ConfigError: ExitCode.usage,
  CertificateError: ExitCode.usage,
  RecordingError: ExitCode.usage,
  RequestFailure: ExitCode.failed,
  EngineError: ExitCode.usage,
  WorkerError: ExitCode.failed,
  QuicError: ExitCode.failed
}

const systemErrors: Record<string, (error: NodeJS.ErrnoException, address: string) => string> = {
  EADDRINUSE: (_error, address) =>
    `${address} is in use by another program: stop that one, or choose another address or port`,
  EACCES: (error, address) =>
    error.syscall === 'bind' || error.syscall === 'listen'
      ? `no permission to listen on ${address}: choose a port of 1024 or above, or grant CAP_NET_BIND_SERVICE`
      : `no permission to read or write ${error.path ?? 'a file'}: check its owner and mode`,
  EADDRNOTAVAIL: (_error, address) => `${address} is no address of this machine: use one of its own, such as 127.0.0.1`,
  ENOTFOUND: (error) => `cannot resolve ${hostnameOf(error)}: check the name`,
  EAI_AGAIN: (error) => `cannot resolve ${hostnameOf(error)} now: the name server does not answer`,
  ENOENT: (error) => `${error.path ?? 'a file'} does not exist: check the path`,
  EISDIR: (error) => `${error.path ?? 'a path'} is a directory, a file was expected`,
  ENOTDIR: (error) => `${error.path ?? 'a path'} is not a directory`,
  ENOSPC: (error) => `no space left to write ${error.path ?? 'the output'}`
}

function hostnameOf(error: NodeJS.ErrnoException): string {
  return (error as { hostname?: string }).hostname ?? 'the host name'
}

function addressOf(error: NodeJS.ErrnoException): string {
  const { address, port } = error as { address?: string; port?: number }
  if (address === undefined) return 'that address'
  const host = address.includes(':') ? `[${address}]` : address
  return port === undefined ? host : `${host}:${port}`
}

/** What to print for an error, and the exit code that it means. */
export interface ExplainedError {
  readonly text: string
  readonly exitCode: ExitCode
}

/**
 * Words for an error. A known mistake keeps its own words, a system error gets words, and everything else is a bug: one
 * line, and the stack only where QUICGATE_DEBUG=1 asks for it.
 */
export function explainError(error: unknown, env: NodeJS.ProcessEnv = process.env): ExplainedError {
  const debug = env['QUICGATE_DEBUG'] === '1'
  if (!(error instanceof Error)) return { text: `error: ${String(error)} (this is a bug)`, exitCode: ExitCode.failed }
  const stack = debug && error.stack !== undefined ? `\n${error.stack}` : ''
  const known = personErrors[error.name]
  if (known !== undefined) {
    const own = (error as { exitCode?: unknown }).exitCode
    return { text: `error: ${error.message}${stack}`, exitCode: own === 0 || own === 1 || own === 2 ? own : known }
  }
  const code = (error as NodeJS.ErrnoException).code
  const explain = code === undefined ? undefined : systemErrors[code]
  if (explain !== undefined) {
    return { text: `error: ${explain(error, addressOf(error))}${stack}`, exitCode: ExitCode.usage }
  }
  const hint = debug ? stack : '\nSet QUICGATE_DEBUG=1 to see where it came from.'
  return { text: `error: ${firstLine(error.message)} (${error.name}). This is a bug in quicgate.${hint}`, exitCode: 1 }
}

function firstLine(text: string): string {
  const end = text.indexOf('\n')
  return end < 0 ? text : text.slice(0, end)
}

/** Prints an error on stderr and gives the exit code that it means. */
export function reportError(error: unknown): ExitCode {
  const { text, exitCode } = explainError(error)
  note(text.replace(/^error:/, paint(['red', 'bold'], 'error:', process.stderr)))
  return exitCode
}

/** Ends the process quietly when the reader of stdout is gone (`quicgate fetch … | head`). */
export function quietBrokenPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? ExitCode.ok)
    throw error
  })
  process.stderr.on('error', () => {})
}

const endSignals = ['SIGINT', 'SIGTERM'] as const
/** A signal that comes again so soon is the same one: npm passes on what the terminal has sent to everybody already. */
const SAME_SIGNAL_MS = 1_000

/**
 * Runs `close` at SIGINT or SIGTERM and ends the process with exit code 0; a second signal, a second later or more, or
 * `graceMs` without an end, ends it at once. A crash closes too and exits with 1.
 */
export function closeOnSignal(close: () => Promise<void>, graceMs = 10_000): void {
  const grace = closeWithGrace({ delay: graceMs, logger: false, skip: [...endSignals] }, async ({ err }) => {
    if (err !== undefined) reportError(err)
    await close()
  })
  let firstAt: number | undefined
  const onSignal = (): void => {
    if (firstAt === undefined) {
      firstAt = performance.now()
      grace.close()
    } else if (performance.now() - firstAt >= SAME_SIGNAL_MS) {
      process.exit(ExitCode.failed)
    }
  }
  for (const signal of endSignals) process.on(signal, onSignal)
}
