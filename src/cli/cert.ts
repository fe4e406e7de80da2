/** `quicgate cert`: makes certificates for development. */
import { Option } from 'commander'
import type { Command } from 'commander'
import { MAX_DAYS, createDevelopmentCertificates } from '../config/development-certificates.js'
import type { DevelopmentCertificates } from '../config/development-certificates.js'
import { parseInteger } from './arguments.js'
import { say } from './output.js'

const DEFAULT_HOSTS = ['localhost', '127.0.0.1', '::1']
const DEFAULT_DIRECTORY = 'certs'

interface CertOptions {
  dir: string
  host?: string[]
  rsa?: boolean
  ecdsa?: boolean
  days?: number
  force?: boolean
  json?: boolean
}

/** Adds the command `cert`. Its action throws CertificateError where a person has to do something. */
export function registerCert(program: Command): void {
  program
    .command('cert')
    .description('make a development authority (once) and a server certificate signed by it')
    .option('--dir <dir>', 'where the files go', DEFAULT_DIRECTORY)
    .option('--host <name...>', `host names and IP addresses of the server (default: ${DEFAULT_HOSTS.join(' ')})`)
    .option('--ecdsa', 'a P-256 key (default)')
    .addOption(new Option('--rsa', 'an RSA key of 2048 bits').conflicts('ecdsa'))
    .option('--days <n>', 'how long the server certificate is valid (default: 365)', parseInteger(1, MAX_DAYS))
    .option('--force', 'replace an existing server certificate')
    .option('--json', 'print one line of JSON')
    .action(async (options: CertOptions) => {
      const made = await createDevelopmentCertificates({
        dir: options.dir,
        hosts: options.host ?? DEFAULT_HOSTS,
        keyType: options.rsa ? 'rsa' : 'ecdsa',
        days: options.days,
        force: options.force
      })
      if (options.json) say(JSON.stringify(made))
      else describe(made)
    })
}

function describe(made: DevelopmentCertificates): void {
  const authority = made.caCreated ? 'authority, made now' : 'authority, there already'
  for (const line of [
    `${made.caPath}  (${authority}, valid until ${made.caExpires.slice(0, 10)})`,
    `${made.certPath}  (for ${made.hosts.join(', ')}; valid until ${made.expires.slice(0, 10)})`,
    `${made.keyPath}  (${made.keyType === 'rsa' ? 'RSA' : 'ECDSA'} key; keep it and ${made.caKeyPath} to yourself)`,
    '',
    'Next:',
    `  quicgate serve --listen 127.0.0.1:4433 --cert ${quote(made.certPath)} --key ${quote(made.keyPath)} --root .`,
    `  quicgate fetch https://${urlHost(made.hosts)}:4433/ --connect 127.0.0.1:4433 --ca ${quote(made.caPath)}`
  ]) {
    say(line)
  }
}

/** For a shell. */
function quote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}

function urlHost(hosts: readonly string[]): string {
  const host = hosts.find((name) => !name.startsWith('*.')) ?? hosts[0]!.replace('*', 'www')
  return host.includes(':') ? `[${host}]` : host
}
