/** Everything a gateway needs to start, read from its files and checked as a whole. */
import { dirname, resolve } from 'node:path'
import { CertificateError } from '../quic/crypto/certificate-error.js'
import type { CommonCertificateSets } from '../quic/crypto/common-certificates.js'
import { certifiedKeyFromPem } from '../quic/crypto/proof.js'
import type { CertifiedKey } from '../quic/crypto/proof.js'
import { supportedVersions, versionByLabel } from '../quic/wire/versions/registry.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { loadCommonCertificates } from './common-certificates.js'
import { ConfigError } from './config-error.js'
import type { ConfigProblem } from './config-error.js'
import { ConfigFiles } from './config-files.js'
import { gatewaySchema } from './gateway-schema.js'
import type { GatewayFile, ListenerDefinition } from './gateway-schema.js'
import { tryLoadYaml } from './load-yaml.js'
import { resolveObserved } from './observe-schema.js'
import { loadRoutes, orderAndCheck } from './route-files.js'
import type { Route } from './route-files.js'
import type { RouteEntry } from './route-order.js'
import type { HostPort } from './values.js'
import { displayPath, readFailure } from './yaml-source.js'
import type { YamlSource } from './yaml-source.js'

/** One UDP address with what it speaks and how it proves itself. */
export interface ListenerConfig {
  /** Where the address is written. */
  readonly at: ConfigPlace
  readonly address: HostPort
  readonly certificates: readonly LoadedCertificate[]
  readonly versions: readonly QuicVersion[]
  readonly transport: ListenerDefinition['transport']
}

/** A certificate chain with its key, and the file it came from for messages. */
export interface LoadedCertificate {
  readonly file: string
  readonly key: CertifiedKey
}

/** Where something is written. */
export interface ConfigPlace {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A checked configuration. Paths are absolute, durations in milliseconds, sizes in bytes. */
export interface GatewayConfig extends Omit<GatewayFile, 'listeners' | 'routes' | 'stateDir'> {
  /** The file, as shown in messages. */
  readonly file: string
  readonly listeners: readonly ListenerConfig[]
  /** In the order in which they are written. */
  readonly routes: readonly Route[]
  /** In the order in which they are tried. */
  readonly entries: readonly RouteEntry<Route>[]
  readonly stateDir: string | undefined
  /** What `handshake.commonCertificates` names. */
  readonly commonCertificates: CommonCertificateSets | undefined
  /** Where the state directory is written. */
  readonly stateDirAt: ConfigPlace
  /** Where the admin address and the number of workers are written. */
  readonly adminAt: ConfigPlace
  readonly workersAt: ConfigPlace
}

/**
 * Loads `config/gateway.yaml`, the route files and the certificates it names.
 * @param file absolute, or relative to the working directory; paths inside it are relative to its directory
 * @param files where they are read, the disk's unless given
 * @throws ConfigError with every problem of all files
 */
export function loadGatewayConfig(
  file: string,
  environment: NodeJS.ProcessEnv = process.env,
  files = new ConfigFiles()
): GatewayConfig {
  const path = resolve(file)
  const base = dirname(path)
  const problems: ConfigProblem[] = []
  const loaded = tryLoadYaml(path, gatewaySchema, problems, 'the configuration', environment, files)
  if (loaded === undefined) throw new ConfigError(problems)
  const { value, source } = loaded
  const listeners = value.listeners.map((listener, index) => loadListener(source, listener, index, base, problems, files))
  checkAddresses(source, value.listeners, problems)
  const routes = loadRoutes(source, value.routes, base, value.upstreams.timeouts ?? {}, problems, environment, files)
  const entries = orderAndCheck(routes, problems)
  const commonCertificates = loadCommon(source, value.handshake.commonCertificates, base, problems, files)
  if (problems.length > 0) throw new ConfigError(problems)
  const stateDir = value.stateDir === undefined ? undefined : resolve(base, value.stateDir)
  const observed = resolveObserved(value, base)
  const placeOf = (...path: string[]): ConfigPlace => ({ file: source.file, ...source.position(path) })
  const places = { stateDirAt: placeOf('stateDir'), adminAt: placeOf('admin', 'listen'), workersAt: placeOf('workers') }
  return { ...value, ...observed, ...places, file: source.file, listeners, routes, entries, stateDir, commonCertificates }
}

function loadListener(
  source: YamlSource,
  listener: ListenerDefinition,
  index: number,
  base: string,
  problems: ConfigProblem[],
  files: ConfigFiles
): ListenerConfig {
  const certificates: LoadedCertificate[] = []
  listener.certificates.forEach(({ cert, key, sct }, at) => {
    const path = ['listeners', index, 'certificates', at]
    const certPem = readPem(source, [...path, 'cert'], resolve(base, cert), 'certificate', problems, files)
    const keyPem = readPem(source, [...path, 'key'], resolve(base, key), 'private key', problems, files)
    const timestamps = sct === undefined ? undefined : readSct(source, [...path, 'sct'], resolve(base, sct), problems, files)
    if (certPem === undefined || keyPem === undefined) return
    try {
      const certifiedKey = certifiedKeyFromPem(certPem, keyPem, timestamps)
      certificates.push({ file: displayPath(resolve(base, cert)), key: certifiedKey })
    } catch (error) {
      if (!(error instanceof CertificateError)) throw error
      const which = error.code.startsWith('KEY') ? 'key' : 'cert'
      const name = displayPath(resolve(base, which === 'key' ? key : cert))
      problems.push(source.problem([...path, which], `${name}: ${error.message}`))
    }
  })
  const versions = listener.versions?.map((label) => versionByLabel(label)!) ?? supportedVersions
  const at = { file: source.file, ...source.position(['listeners', index, 'address']) }
  return { at, address: listener.address, certificates, versions, transport: listener.transport }
}

function loadCommon(
  source: YamlSource,
  paths: readonly string[] | undefined,
  base: string,
  problems: ConfigProblem[],
  files: ConfigFiles
): CommonCertificateSets | undefined {
  try {
    return paths && loadCommonCertificates(paths.map((path) => resolve(base, path)), files)
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error
    problems.push(source.problem(['handshake', 'commonCertificates'], error.message))
    return undefined
  }
}

function readSct(
  source: YamlSource,
  path: PropertyKey[],
  file: string,
  problems: ConfigProblem[],
  files: ConfigFiles
): Buffer | undefined {
  try {
    return files.read(file)
  } catch (error) {
    const what = `cannot read certificate timestamps ${displayPath(file)}: ${readFailure(error)}`
    problems.push(source.problem(path, `${what}; name the file that your certificate authority gave, or leave sct out`))
    return undefined
  }
}

function readPem(
  source: YamlSource,
  path: PropertyKey[],
  file: string,
  what: string,
  problems: ConfigProblem[],
  files: ConfigFiles
): Buffer | undefined {
  try {
    return files.read(file)
  } catch (error) {
    const remedy = `name a PEM file, or make one for development: quicgate cert --dir ${displayPath(dirname(file))}`
    problems.push(source.problem(path, `cannot read ${what} ${displayPath(file)}: ${readFailure(error)}; ${remedy}`))
    return undefined
  }
}

function checkAddresses(source: YamlSource, listeners: readonly ListenerDefinition[], problems: ConfigProblem[]): void {
  const seen = new Map<string, number>()
  listeners.forEach(({ address }, index) => {
    if (address.port === 0) return
    const text = `${address.host} ${address.port}`
    const first = seen.get(text)
    if (first === undefined) {
      seen.set(text, index)
      return
    }
    const message = `listeners[${index}].address: listeners[${first}] has the same address; remove one of them`
    problems.push(source.problem(['listeners', index, 'address'], message))
  })
}
