/**
 * An independent dissector reads what client and server say to each other.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { toPcap } from '../helpers/pcap.js'
import { freeUdpPort, hasTool, Program, quicgate, run, stopAll } from '../helpers/programs.js'
import { RECORDED_CLIENT_PORT, RECORDED_SERVER_PORT, Recorder } from '../helpers/udp-recorder.js'

const gquicFields = ['gquic.version', 'gquic.cid', 'gquic.tag_type', 'gquic.tag.sni', 'gquic.tag.version']

let dir: string
let server: Program
let port: number

/** Runs tshark over a capture; one array of field values for each packet. */
async function dissect(file: string, fields: string[]): Promise<string[][]> {
  const wanted = ['-T', 'fields', ...fields.flatMap((field) => ['-e', field])]
  const args = ['-r', file, '-d', `udp.port==${RECORDED_SERVER_PORT},gquic`, ...wanted]
  const { code, stdout, stderr } = await run('tshark', args)
  expect(code, stderr).toBe(0)
  return stdout.toString().trimEnd().split('\n').map((line) => line.split('\t'))
}

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'www.example.com')
  mkdirSync(join(dir, 'www'))
  writeFileSync(join(dir, 'www/hello.txt'), 'hello')
  port = await freeUdpPort()
  const tls = ['--cert', join(dir, 'certs/cert.pem'), '--key', join(dir, 'certs/key.pem')]
  const args = ['serve', '--listen', `127.0.0.1:${port}`, ...tls, '--root', join(dir, 'www')]
  server = await Program.start(args, /^serving /m)
}, 120_000)

afterAll(async () => {
  await server?.stop()
  await stopAll()
  removeScratch(dir)
})

describe.skipIf(!hasTool('tshark'))('tshark', () => {
  it.each(['Q034', 'Q035', 'Q036'])('recognises %s and reads the hellos', async (version) => {
    const recorder = await Recorder.start(port)
    const ca = join(dir, 'certs/ca.pem')
    const flags = ['--connect', `127.0.0.1:${recorder.port}`, '--ca', ca, '--quic-version', version]
    const fetched = await quicgate(['fetch', 'https://www.example.com/hello.txt', ...flags])
    recorder.close()
    expect([fetched.code, fetched.stdout.toString()]).toEqual([0, 'hello'])
    const file = join(dir, `${version}.pcap`)
    writeFileSync(file, toPcap(recorder.datagrams))

    const packets = await dissect(file, ['_ws.col.Protocol', '_ws.malformed', 'udp.srcport', ...gquicFields])
    expect(packets).toHaveLength(recorder.datagrams.length)
    expect(packets.every(([protocol, malformed]) => protocol === 'GQUIC' && malformed === '')).toBe(true)
    const fromClient = packets.filter((packet) => packet[2] === String(RECORDED_CLIENT_PORT))
    expect(new Set(fromClient.map((packet) => packet[4])).size).toBe(1)
    expect(fromClient[0]![3]).toBe(version)
    const [, , , , , tags, serverName, offered] = fromClient[0]!
    expect(tags!.split(',')).toEqual(expect.arrayContaining(['PAD', 'SNI', 'VER', 'PDMD', 'ICSL', 'CFCW', 'SFCW']))
    expect([serverName, offered]).toEqual(['www.example.com', version])
    const rejection = packets.find((packet) => packet[2] === String(RECORDED_SERVER_PORT) && packet[5] !== '')
    expect(rejection![5]!.split(',')).toEqual(expect.arrayContaining(['STK', 'SCFG', 'PROF']))
  }, 60_000)
})
