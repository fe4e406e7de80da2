/**
 * The native engine on links that are slow or narrow: a loopback of its own, in a network namespace, where the system
 * lets one have that.
 */
import { execFileSync } from 'node:child_process'
import { beforeAll, describe, expect, it } from 'vitest'
import { ensureBuilt, projectRoot } from '../helpers/build.js'
import { addon } from '../helpers/engines.js'
import { run } from '../helpers/programs.js'

const SLOW = 'tc qdisc add dev lo root tbf rate 60mbit burst 64kb limit 200mb'

function hasNamespaces(): boolean {
  try {
    execFileSync('unshare', ['-rn', 'sh', '-c', `ip link set lo up && ${SLOW}`], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Sends numbered packets, 16 to a transmit, and prints what became of them. */
const program = (count: number): string => `
  import { NativeEngine } from '${projectRoot}dist/endpoint/engines/native-engine.js'
  const engine = new NativeEngine()
  const got = []
  const said = []
  const problems = { onTooBig: (to, size) => said.push('too big ' + size), onSocketError: (error) => said.push(error.message) }
  const handler = { onDatagram: () => {}, onBatchEnd: () => {}, onWritable: () => {}, ...problems }
  const onDatagram = (from, bytes) => got.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0))
  const receiver = await engine.open({ address: '127.0.0.1', port: 0, handler: { ...handler, onDatagram } })
  let resume
  const onWritable = () => resume()
  const sender = await engine.open({ address: '127.0.0.1', port: 0, handler: { ...handler, onWritable } })
  let full = 0
  const room = (ok) => ok || (full++, new Promise((resolve) => (resume = resolve)))
  for (let n = 0; n < ${count}; ) {
    const buffer = sender.acquireBuffer()
    const view = new DataView(buffer.buffer, buffer.byteOffset)
    for (let i = 0; i < 16; i++) view.setUint32(i * 1350, n++)
    await room(sender.send({ to: receiver.localAddress, length: 16 * 1350, segmentSize: 1350 }, buffer))
    if (n % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await room(sender.flush())
  for (let last = -1; got.length < ${count} && got.length !== last; await new Promise((resolve) => setTimeout(resolve, 700))) last = got.length
  console.log(JSON.stringify({ full, got: got.length, inOrder: got.every((n, i) => n === i), said }))
  await receiver.close()
  await sender.close()`

/** Runs it behind `setUp`. */
async function within(setUp: string, count: number): Promise<unknown> {
  const shell = `ip link set lo up && ${setUp} && exec "$0" --input-type=module -e "$1"`
  const { code, stdout, stderr } = await run('unshare', ['-rn', 'sh', '-c', shell, process.execPath, program(count)])
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout.toString())
}

describe.skipIf(addon === undefined || !hasNamespaces())('the native engine', () => {
  beforeAll(ensureBuilt, 180_000)

  it('waits where the link is slow and the send buffer full, and loses nothing', async () => {
    const result = await within(SLOW, 9600)
    expect(result).toMatchObject({ got: 9600, inOrder: true, said: [] })
    expect((result as { full: number }).full).toBeGreaterThan(0)
  }, 60_000)

  it('sends packets that the link is too narrow for as the system does, in pieces', async () => {
    expect(await within('ip link set lo mtu 1280', 320)).toEqual({ full: 0, got: 320, inOrder: true, said: [] })
  }, 60_000)
})
