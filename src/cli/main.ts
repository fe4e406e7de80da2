#!/usr/bin/env node
/**
 * The program: registers the commands, and turns every failure into one message and an exit code.
 */
import { Command, CommanderError } from 'commander'
import { ExitCode, quietBrokenPipe, reportError } from './output.js'
import { programVersion } from './version.js'

type Register = (program: Command) => void

/** In the order of the help. Loaded when needed: a command runs without the code, and the heap, of the others. */
const commands: Readonly<Record<string, () => Promise<Register>>> = {
  'gateway': async () => (await import('./gateway.js')).registerGateway,
  'forward': async () => (await import('./forward.js')).registerForward,
  'serve': async () => (await import('./serve.js')).registerServe,
  'fetch': async () => (await import('./fetch.js')).registerFetch,
  'inspect': async () => (await import('./inspect.js')).registerInspect,
  'cert': async () => (await import('./cert.js')).registerCert,
  'sample-upstream': async () => (await import('./sample-upstream.js')).registerSampleUpstream,
  'demo': async () => (await import('./demo.js')).registerDemo
}

/** What --version prints: with --verbose, before or behind it, also what the program runs on. */
async function versionText(args: readonly string[]): Promise<string> {
  const asked = args.includes('--version') || args.includes('-V')
  if (!asked || !args.includes('--verbose')) return programVersion()
  const { chooseEngine } = await import('../endpoint/engines/select-engine.js')
  const { engine, why } = chooseEngine()
  const aeads = engine.aeadProvider.preference.join(', ')
  const { node, openssl } = process.versions
  return [
    `quicgate ${programVersion()}`,
    `engine: ${engine.name} (${why})`,
    `AEADs, fastest first: ${aeads}`,
    `Node ${node}, OpenSSL ${openssl}, ${process.platform} ${process.arch}`
  ].join('\n')
}

/** @param named the first argument: if it is a command's name, the others are not loaded */
async function createProgram(named: string | undefined): Promise<Command> {
  const program = new Command('quicgate')
    .description('HTTP over Google QUIC: a gateway, a local forwarder, and tools')
    .version(await versionText(process.argv), '-V, --version', 'print the version; with --verbose, the packet engine too')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .showHelpAfterError('Run it with --help to see what it takes.')
    .exitOverride()
    .addHelpText('after', '\nExit codes: 0 done, 1 the job failed, 2 arguments or configuration are wrong.')
  const wanted = named !== undefined && Object.hasOwn(commands, named) ? [named] : Object.keys(commands)
  for (const name of wanted) (await commands[name]!())(program)
  return program
}

/** Commander has printed its message by then; help and version are no errors. */
function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof CommanderError)) return reportError(error)
  return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage
}

quietBrokenPipe()
try {
  await (await createProgram(process.argv[2])).parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
  // Whatever a failed start has left open must not keep the process.
  process.stderr.write('', () => process.exit())
}
