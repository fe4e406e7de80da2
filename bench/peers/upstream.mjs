/** What proxies pass requests to: it answers 1 KB to everything. */
import { child, freePort, ready, start } from '../processes.mjs'
import { missingNginx, startNginx } from './nginx.mjs'

const KILOBYTE = 'quicgate'.repeat(128)

/**
 * Starts nginx where it is installed, since it takes least from what is measured, else node:http.
 * @param {string} directory made for what it writes
 */
export async function startUpstream(directory, pin) {
  const port = await freePort('tcp')
  if (missingNginx() === undefined) {
    return { what: 'nginx', port, process: await startNginx(directory, port, { body: KILOBYTE }, { pin }) }
  }
  const process = start([child('http-server.mjs'), String(port)], { pin })
  await ready(process, String(port))
  return { what: 'node:http', port, process }
}
