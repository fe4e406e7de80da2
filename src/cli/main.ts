#!/usr/bin/env node
/**
 * The program: registers the commands, and turns every failure into one message and an exit code.
 */
import { Command, CommanderError } from 'commander'
import { readFileSync } from 'node:fs'
import { registerCert } from './cert.js'
import { registerDemo } from './demo.js'
import { registerFetch } from './fetch.js'
import { registerForward } from './forward.js'
import { registerGateway } from './gateway.js'
import { registerInspect } from './inspect.js'
import { ExitCode, quietBrokenPipe, reportError } from './output.js'
import { registerSampleUpstream } from './sample-upstream.js'
import { registerServe } from './serve.js'

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

function createProgram(): Command {
  const program = new Command('quicgate')
    .description('HTTP over Google QUIC: a gateway, a local forwarder, and tools')
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .showHelpAfterError('Run it with --help to see what it takes.')
    .exitOverride()
    .addHelpText('after', '\nExit codes: 0 done, 1 the job failed, 2 arguments or configuration are wrong.')
  registerGateway(program)
  registerForward(program)
  registerServe(program)
  registerFetch(program)
  registerInspect(program)
  registerCert(program)
  registerSampleUpstream(program)
  registerDemo(program)
  return program
}

/** Commander has printed its message by then; help and version are no errors. */
function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof CommanderError)) return reportError(error)
  return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage
}

quietBrokenPipe()
try {
  await createProgram().parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
  // Whatever a failed start has left open must not keep the process.
  process.stderr.write('', () => process.exit())
}
