import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CaptureError } from '../../../src/inspect/capture-error.js'
import { inspectCapture, type InspectOptions } from '../../../src/inspect/inspect-capture.js'
import { readKeyFiles } from '../../../src/inspect/key-file.js'
import { formatReport } from '../../../src/inspect/report-text.js'
import { packetOf, pcapOf, toPcap, toPcapng, type CapturedDatagram, type PcapForm } from '../../helpers/pcap.js'
import { caseNames, loadCase } from '../../helpers/vectors.js'

const SERVER_PORT = 4433
let dir: string

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'quicgate-pcap-'))
})

afterAll(() => rmSync(dir, { recursive: true }))

function file(name: string, content: string | Uint8Array): string {
  const path = join(dir, name)
  writeFileSync(path, content)
  return path
}

/** A recording as a capture sees it: what was delivered, each client socket on a port of its own. */
function datagramsOf(name: string, addresses: { client?: string; server?: string } = {}): CapturedDatagram[] {
  const { client, server } = addresses
  return loadCase(name)
    .datagrams.filter(({ dropped }) => !dropped)
    .map(({ us, from, conn, bytes }) =>
      from === 'client'
        ? { us, bytes, fromPort: 50_000 + conn, toPort: SERVER_PORT, from: client, to: server }
        : { us, bytes, fromPort: SERVER_PORT, toPort: 50_000 + conn, from: server, to: client }
    )
}

/** The keys of a recording as a key log. */
function keyLog(name: string): string {
  const lines = loadCase(name).info.connections.flatMap(({ connectionId, aead, version, keys }) =>
    keys
      .filter(({ level }) => level !== 'versionSalt')
      .map(({ perspective, level, clientKey, clientIv, clientHp, serverKey, serverIv, serverHp }) => {
        const both = { clientKey, clientIv, clientHp, serverKey, serverIv, serverHp }
        return JSON.stringify({ connectionId, version, perspective, aead, level, ...both })
      })
  )
  return file(`${name}.keys`, `${lines.join('\n')}\n\n`)
}

const failure = (path: string, options?: InspectOptions): Promise<unknown> => inspectCapture(path, options).catch((e: unknown) => e)

describe('mechanism: inspection of captures', () => {
  const cases = caseNames().filter((name) => loadCase(name).info.connections.some(({ keys }) => keys.length > 0))

  it.each(cases)('says of %s what was recorded', async (name) => {
    const { info } = loadCase(name)
    const path = file(`${name}.pcap`, toPcap(datagramsOf(name)))
    const { report, notes } = await inspectCapture(path, { keys: [keyLog(name)] })
    expect(notes).toEqual([])
    expect(report.datagrams).toBe(datagramsOf(name).length)
    expect(report.undecryptable).toBe(info.undecryptable ?? 0)
    for (const connection of info.connections) {
      const found = report.connections.find(({ connectionId }) => connectionId === connection.connectionId)
      expect(found).toMatchObject({
        version: connection.version,
        client: `127.0.0.1:${50_000 + connection.conn}`,
        server: `127.0.0.1:${SERVER_PORT}`,
        requests: connection.requests,
        responses: connection.responses
      })
    }
  })
})

describe('the forms of captures', () => {
  const name = 'chromium56-v36-get-1k'
  const links = ['raw', 'ethernet', 'vlan', 'cooked', 'cooked2', 'loopback'] as const
  const forms = links.flatMap((link) => [{ link }, { link, bigEndian: true }, { link, fine: true }])
  const families = { IPv4: {}, IPv6: { client: '2001:db8::1:0:0:2', server: '2001:db8::443' } }

  for (const [family, addresses] of Object.entries(families)) {
    it.each(forms)(`${family} in %j, pcap and pcapng`, async (form: PcapForm) => {
      const datagrams = datagramsOf(name, addresses)
      const keys = [keyLog(name)]
      for (const [kind, bytes] of Object.entries({ pcap: toPcap(datagrams, form), pcapng: toPcapng(datagrams, form) })) {
        const times: string[] = []
        const onPacket = (text: string): number => times.push(text.split(/\s+/)[2]!)
        const { report } = await inspectCapture(file(`form.${kind}`, bytes), { keys, onPacket })
        expect(report.undecryptable).toBe(0)
        expect(report.connections).toHaveLength(1)
        expect(report.connections[0]!.responses[0]).toMatchObject({ status: 200, bodyLength: 1024 })
        if (family === 'IPv6') expect(report.connections[0]!.client).toBe('[2001:db8::1:0:0:2]:50000')
        expect(times.map(Number)).toEqual(datagrams.map(({ us }) => (us - datagrams[0]!.us) / 1e6))
      }
    })
  }

  it('is no other file', async () => {
    for (const bytes of [Buffer.alloc(0), Buffer.from('abc'), Buffer.from('{"case": 1}')]) {
      const error = await failure(file('other', bytes))
      expect(error).toBeInstanceOf(CaptureError)
      expect((error as CaptureError).message).toContain('neither pcap nor pcapng')
    }
  })

  it('may end within a packet, as while it is being written', async () => {
    for (const bytes of [toPcap(datagramsOf(name)), toPcapng(datagramsOf(name))]) {
      for (let cut = 1; cut < 40; cut += 3) {
        const { report } = await inspectCapture(file('cut', bytes.subarray(0, bytes.length - cut)))
        expect(report.datagrams).toBe(datagramsOf(name).length - 1)
      }
    }
  })

  it('that is damaged is refused, or read as far as it makes sense', async () => {
    for (const original of [toPcap(datagramsOf(name)), toPcapng(datagramsOf(name))]) {
      for (let i = 0; i < 300; i++) {
        const bytes = Buffer.from(original)
        bytes[(i * 7919) % Math.min(bytes.length, 2000)]! ^= 1 << i % 8
        const result = await failure(file('damaged', bytes))
        if (result instanceof Error) expect(result).toBeInstanceOf(CaptureError)
      }
    }
    const huge = toPcap(datagramsOf(name))
    huge.writeUInt32LE(0x7fffffff, 24 + 8)
    expect(await failure(file('huge', huge))).toMatchObject({ code: 'CAPTURE_MALFORMED' })
  })
})

describe('what a capture holds besides', () => {
  const name = 'chromium56-v36-get-1k'
  const datagrams = datagramsOf(name)
  const packets = datagrams.map((datagram) => ({ us: datagram.us, bytes: packetOf(datagram) }))

  it('is counted and passed over', async () => {
    const dns = packetOf({ us: 0, fromPort: 50_000, toPort: 53, bytes: Buffer.from('not quic at all, but some name') })
    const fragment = packetOf(datagrams[0]!)
    fragment.writeUInt16BE(0x2000, 6)
    const tcp = packetOf(datagrams[0]!)
    tcp[9] = 6
    const before = [dns, fragment, tcp].map((bytes) => ({ us: 0, bytes }))
    const inspection = await inspectCapture(file('mixed', pcapOf([...before, ...packets])), { keys: [keyLog(name)] })
    expect(inspection.notes).toEqual(['2 of something else', '1 IP fragments left out'])
    expect(inspection.report).toMatchObject({ datagrams: datagrams.length, undecryptable: 0 })
    expect(formatReport(inspection)).toContain('other packets: 2 of something else')
  })

  it('may be cut off packets', async () => {
    const { notes, report } = await inspectCapture(file('short', toPcap(datagrams, { snapLength: 200 })), { port: SERVER_PORT })
    const long = datagrams.filter(({ bytes }) => bytes.length + 28 > 200).length
    expect(long).toBeGreaterThan(3)
    expect(notes).toEqual([`${long} cut off by the capture and left out`])
    expect(report.datagrams).toBe(datagrams.length - long)
  })

  it('may be another server: --port says which', async () => {
    const other = datagrams.map((d) =>
      d.toPort === SERVER_PORT ? { ...d, toPort: 443, fromPort: 6000 } : { ...d, fromPort: 443, toPort: 6000 }
    )
    const path = file('two', toPcap([...datagrams, ...other]))
    const keys = [keyLog(name)]
    expect((await inspectCapture(path, { keys })).report.connections).toHaveLength(2)
    const { report, notes } = await inspectCapture(path, { keys, port: 443 })
    expect(report.connections.map(({ server }) => server)).toEqual(['127.0.0.1:443'])
    expect(report.undecryptable).toBe(0)
    expect(notes).toEqual([`${datagrams.length} of something else`])
  })

  it('may be a client that moves: its connection stays one', async () => {
    const half = datagrams.findIndex((d, i) => i > datagrams.length / 2 && d.toPort === SERVER_PORT)
    const moved = datagrams.map((d, i) => {
      if (i < half) return d
      return d.toPort === SERVER_PORT ? { ...d, fromPort: 60_001 } : { ...d, toPort: 60_001 }
    })
    const { report } = await inspectCapture(file('moved', toPcap(moved)), { keys: [keyLog(name)] })
    expect(report).toMatchObject({ datagrams: datagrams.length, undecryptable: 0 })
    expect(report.connections).toHaveLength(1)
    expect(report.connections[0]!.responses[0]!.bodyLength).toBe(1024)
  })

  it('may begin within a connection, if its keys are there', async () => {
    const late = datagrams.slice(-6)
    const path = file('late', toPcap(late))
    expect((await inspectCapture(path)).report.datagrams).toBe(0)
    const { report } = await inspectCapture(path, { keys: [keyLog(name)] })
    expect(report).toMatchObject({ datagrams: 6, undecryptable: 0 })
    expect(report.connections[0]).toMatchObject({ client: '127.0.0.1:50000', server: `127.0.0.1:${SERVER_PORT}` })
  })
})

describe('mechanism: inspection without keys', () => {
  it.each(['chromium56-v32-get-1k', 'chromium56-v36-get-1k', 'quicgo-v0.10.2-q043-get-1k', 'lsquic-4.9.3-q050-get1k'])(
    'the hellos of %s can be read',
    async (name) => {
      const texts: string[] = []
      const path = file('keyless', toPcap(datagramsOf(name)))
      const { report } = await inspectCapture(path, { onPacket: (text) => texts.push(text) })
      const all = texts.join('\n')
      for (const word of ['CHLO', 'REJ', 'SCFG', 'SNI:', 'AEAD:', 'KEXS:', 'SCID:']) expect(all).toContain(word)
      expect(report.undecryptable).toBeGreaterThan(0)
      expect(report.undecryptable).toBeLessThan(report.datagrams)
      expect(report.connections).toHaveLength(1)
    }
  )
})

describe('a key log', () => {
  const line = { connectionId: '0102030405060708', aead: 'AESG', level: 'initial', clientKey: '00', clientIv: '01' }

  it('may come in several files and say more than is needed', async () => {
    const one = file('one', JSON.stringify({ ...line, version: 'Q036', comment: 'x' }))
    const two = file('two.keys', `\n${JSON.stringify({ ...line, level: 'forwardSecure' })}\r\n`)
    const keys = await readKeyFiles([one, two])
    expect(keys).toHaveLength(1)
    expect(keys[0]).toMatchObject({ connectionId: line.connectionId, aead: 'AESG' })
    expect(keys[0]!.keys.map(({ level }) => level)).toEqual(['initial', 'forwardSecure'])
  })

  it.each([
    ['not JSON', 'what?'],
    ['another kind of JSON', '[]'],
    ['a broken id', JSON.stringify({ ...line, connectionId: 'abc' })],
    ['a foreign AEAD', JSON.stringify({ ...line, aead: 'S20P' })],
    ['half a byte', JSON.stringify({ ...line, clientKey: '0' })]
  ])('is refused with %s, naming the line', async (_what, text) => {
    const path = file('bad.keys', `${JSON.stringify(line)}\n${text}\n`)
    const error = await readKeyFiles([path]).catch((e: unknown) => e as CaptureError)
    expect(error).toBeInstanceOf(CaptureError)
    expect((error as CaptureError).message).toContain('bad.keys line 2')
  })

  it('that is not there is named', async () => {
    await expect(readKeyFiles(['/nowhere/keys'])).rejects.toThrow('/nowhere/keys does not exist')
  })

  it('with a key that does not fit is refused', async () => {
    const name = 'chromium56-v36-get-1k'
    const { connectionId } = loadCase(name).info.connections[0]!
    const keys = [file('short.keys', JSON.stringify({ ...line, connectionId }))]
    expect(await failure(file('fits', toPcap(datagramsOf(name))), { keys })).toMatchObject({ code: 'CAPTURE_MALFORMED' })
  })
})
