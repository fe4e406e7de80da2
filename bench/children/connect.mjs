// A client of the library for the load programs.
import { readFileSync } from 'node:fs'
import { CaProofVerifier, QuicClient, versionByLabel } from '../../dist/index.js'
import { engine } from './engine.mjs'

/**
 * Options of connections to a server with the development certificate.
 * @param {string | number} port
 * @param {string} caFile
 * @param {{ host?: string, version?: string, aead?: string } & object} options the rest goes to the client as it is
 */
export function clientOptions(port, caFile, { host = '127.0.0.1', version, aead, ...rest } = {}) {
  return {
    host,
    port: Number(port),
    serverName: 'bench.example',
    verifier: new CaProofVerifier({ ca: [readFileSync(caFile, 'utf8')] }),
    engine: engine(aead),
    ...(version === undefined ? {} : { versions: [versionByLabel(version)] }),
    ...rest
  }
}

/** Connects. */
export function connect(...args) {
  return QuicClient.connect(clientOptions(...args))
}
