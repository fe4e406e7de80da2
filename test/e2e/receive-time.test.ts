/**
 * A program that is too busy to read its socket for a while: the kernel knows when datagrams came.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { QuicClient } from '../../src/endpoint/client.js'
import { InsecureProofVerifier } from '../../src/quic/crypto/proof.js'
import { QuicSpdyStream } from '../../src/quic/spdy/spdy-stream.js'
import type { ConnectionObserver } from '../../src/quic/transport/observer.js'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { hasEngine, makeEngine, testedEngines, type TestedEngine } from '../helpers/engines.js'
import { freeUdpPort, Program, stopAll } from '../helpers/programs.js'

const BUSY_MS = 80

let dir: string
let port: number

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'localhost', 'www.example.com')
  mkdirSync(join(dir, 'www'))
  writeFileSync(join(dir, 'www/small.txt'), 'small')
  port = await freeUdpPort()
  const tls = ['--cert', join(dir, 'certs/cert.pem'), '--key', join(dir, 'certs/key.pem')]
  await Program.start(['serve', '--listen', `127.0.0.1:${port}`, ...tls, '--root', join(dir, 'www'), '--files'], /^serving /m)
}, 120_000)

afterAll(async () => {
  await stopAll()
  removeScratch(dir)
})

class Get extends QuicSpdyStream {
  finished = false

  override onDataAvailable(): void {
    while (this.read() !== undefined);
    this.finished ||= this.readEnded
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Round-trip times, ms, of requests after each of which the client is busy until long after the answer has come; and losses. */
async function samples(name: TestedEngine): Promise<{ rtts: number[]; retransmitted: number }> {
  const rtts: number[] = []
  const observer: ConnectionObserver = {
    onMetricsUpdated: (_now, { rtt }) => void (rtt.latest !== 0 && rtts.push(rtt.latest / 1000))
  }
  const client = await QuicClient.connect({
    host: '127.0.0.1',
    port,
    serverName: 'localhost',
    verifier: new InsecureProofVerifier(),
    engine: makeEngine(name),
    observe: () => observer
  })
  while (!client.connection.handshakeConfirmed) await turn()
  rtts.length = 0
  for (let i = 0; i < 8; i++) {
    const stream = client.session.openStream((id, session) => new Get(id, session))
    const path = '/small.txt'
    stream.writeHeaders([[':method', 'GET'], [':scheme', 'https'], [':authority', 'localhost'], [':path', path]], true)
    await turn()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS)
    while (!stream.finished) await turn()
  }
  const { packetsRetransmitted } = client.connection.stats
  await client.close()
  return { rtts, retransmitted: packetsRetransmitted }
}

describe.skipIf(!hasEngine('native'))('a client that is too busy to read what arrives', () => {
  it.each(testedEngines)('measures the path and not itself, where the kernel tells when that was: %s', async (name) => {
    const { rtts, retransmitted } = await samples(name)
    rtts.sort((a, b) => a - b)
    const median = rtts[rtts.length >> 1]!
    if (name === 'native') {
      expect(median).toBeLessThan(BUSY_MS / 2)
      expect(retransmitted).toBeLessThan(4)
    } else {
      expect(median).toBeGreaterThan(BUSY_MS / 2)
    }
  }, 30_000)
})
