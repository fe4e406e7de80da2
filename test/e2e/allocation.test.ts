/**
 * What a packet leaves to the garbage collector: with sockets and ciphers out of the way, nothing but a boxed number or two
 * and its share of what a turn leaves. A closure, an array or a view for each packet would show.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { projectRoot } from '../helpers/build.js'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { run } from '../helpers/programs.js'

const MEGABYTES = 200
/** Bytes for a packet, both ends together; before Node 22 copying a part of an array takes a view of it, three times a packet. */
const ALLOWED = Number(process.versions.node.split('.')[0]) < 22 ? 520 : 190

let dir: string

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'localhost')
}, 120_000)

afterAll(() => removeScratch(dir))

it.each(['Q043', 'Q050'])('a packet leaves next to nothing to collect: %s', async (version) => {
  const identity = ['cert.pem', 'key.pem', 'ca.pem'].map((file) => join(dir, 'certs', file))
  const finished = await run(process.execPath, [join(projectRoot, 'bench/children/core.mjs'), ...identity, String(MEGABYTES), version])
  expect(finished, finished.stderr).toMatchObject({ code: 0 })
  const { allocated, packets } = JSON.parse(finished.stdout.toString()) as { allocated: number; packets: number }
  expect(packets).toBeGreaterThan(100_000)
  expect(allocated).toBeGreaterThan(0)
  expect(allocated).toBeLessThan(ALLOWED)
}, 60_000)
