/**
 * `quicgate serve`: files of a directory over QUIC.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import { readFileSync } from 'node:fs'
import { loadCommonCertificates } from '../config/common-certificates.js'
import { formatHostPort } from '../config/values.js'
import type { HostPort } from '../config/values.js'
import { certifiedKeyFromPem, StaticProofSource } from '../quic/crypto/proof.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { FileServer } from '../serve/file-server.js'
import type { ServedRequest } from '../serve/serve-stream.js'
import { parseListen } from './arguments.js'
import { engineOf, engineOption } from './engine-option.js'
import type { EngineFlags } from './engine-option.js'
import { createRecorder, keylogOption, qlogOption } from './observe-options.js'
import type { ObserveFlags } from './observe-options.js'
import { CliError, closeOnSignal, say, warn } from './output.js'
import { parseVersions } from './versions.js'

interface ServeFlags extends ObserveFlags, EngineFlags {
  listen: HostPort
  cert: string
  key: string
  root: string
  recorded?: boolean
  files?: boolean
  commonCertificates?: string[]
  quicVersion?: QuicVersion[]
  quiet?: boolean
}

/** Adds the command to the program. */
export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('serve the files of a directory over QUIC, as quic_server does')
    .addOption(
      new Option('--listen <address>', 'UDP address to listen on')
        .argParser(parseListen)
        .default({ host: '127.0.0.1', port: 4433 }, '127.0.0.1:4433')
    )
    .requiredOption('--cert <file>', 'certificate chain, PEM, leaf first (`quicgate cert` makes one to try)')
    .requiredOption('--key <file>', 'private key of the leaf, PEM')
    .requiredOption('--root <dir>', 'directory to serve')
    .addOption(new Option('--recorded', 'it holds recorded responses (found out if not said)').conflicts('files'))
    .option('--files', 'it holds plain files (found out if not said)')
    .option('--common-certificates <path...>', 'PEM files, or directories of such, that clients have too: each is a set')
    .option('--quic-version <list>', 'versions to accept, such as Q036,Q035', parseVersions)
    .option('--quiet', 'no line for each request')
    .addOption(engineOption())
    .addOption(keylogOption())
    .addOption(qlogOption())
    .action(async (flags: ServeFlags) => {
      const key = certifiedKeyFromPem(readPem('--cert', flags.cert), readPem('--key', flags.key))
      const recorder = createRecorder(flags, {}, warn)
      const server = await FileServer.start({
        ...flags.listen,
        root: flags.root,
        recorded: flags.recorded === true ? true : flags.files === true ? false : undefined,
        proofSource: new StaticProofSource([key]),
        commonCertificates: flags.commonCertificates && loadCommonCertificates(flags.commonCertificates),
        versions: flags.quicVersion,
        observe: recorder.observe,
        engine: engineOf(flags, warn),
        onRequest:
          flags.quiet === true ? undefined : (request, { version }) => say(requestLine(request, version.label))
      })
      const { content, address } = server
      const what = content.kind === 'recorded' ? `${content.responses.size} recorded responses` : 'files'
      say(`serving ${what} of ${flags.root} on UDP ${formatHostPort({ host: address.address, port: address.port })}`)
      closeOnSignal(async () => {
        await server.close(1_000)
        recorder.close()
      })
    })
}

function requestLine({ method, authority, path, status, bodyLength }: ServedRequest, version: string): string {
  const shown = `${method} ${authority}${path}`.replaceAll(/[^\x20-\x7e]/g, '?')
  return `${version} ${status === 0 ? '---' : status} ${bodyLength} ${shown}`
}

/** Reads a PEM file that a flag names. */
export function readPem(flag: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const reasons: Record<string, string> = { ENOENT: 'does not exist', EACCES: 'may not be read by this user' }
    const why = reasons[code ?? ''] ?? `cannot be read (${code})`
    throw new CliError(`${flag} ${file} ${why}: expected a PEM file; \`quicgate cert\` makes one to try`)
  }
}
