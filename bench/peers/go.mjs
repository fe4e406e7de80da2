/** The peer on quic-go v0.10.2 (test/interop/go-peer), as the benchmarks use it. */
import { buildGoPeer, missingGo } from '../../test/interop/go-peer/build.mjs'
import { ready, startOther } from '../processes.mjs'

let found

/** The built peer: `{ program }`, or `{ missing }` with the reason. Builds it the first time. */
export function goPeer() {
  return (found ??= find())
}

async function find() {
  const missing = await missingGo()
  if (missing !== undefined) return { missing }
  try {
    return { program: await buildGoPeer() }
  } catch (error) {
    return { missing: error.message.split('\n').slice(0, 3).join(' ') }
  }
}

/**
 * Starts its server or its reverse proxy, which end with this process.
 * @returns the process and the UDP port that it listens on
 */
export async function startGoServer(program, command, { cert, key }, { flags = [], ...options } = {}) {
  const files = ['--cert', cert, '--key', key]
  const process = startOther([program, command, ...files, '--until-stdin-closes', ...flags], options)
  const [, port] = await ready(process, /"listening".*"port":(\d+)/)
  return { process, port: Number(port) }
}
