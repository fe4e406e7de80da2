import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import type { DatagramHandler, DatagramSocket } from '../../../src/endpoint/datagram-engine.js'
import { NativeEngine } from '../../../src/endpoint/engines/native-engine.js'
import { NodeEngine } from '../../../src/endpoint/engines/node-engine.js'
import { BpfCode, encodeFilter, NO_SOCKET, reusePortFilter } from '../../../src/endpoint/engines/reuse-port-filter.js'
import type { BpfInstruction } from '../../../src/endpoint/engines/reuse-port-filter.js'
import { Perspective } from '../../../src/quic/types.js'
import { DatagramPeek, HeaderForm, peekDatagram } from '../../../src/quic/wire/datagram-peek.js'
import { addon } from '../../helpers/engines.js'
import { caseNames, loadCase } from '../../helpers/vectors.js'

/** Runs a program as the kernel does. Reading beyond the packet ends it with 0. */
function run(program: readonly BpfInstruction[], packet: Buffer): number {
  let a = 0
  let x = 0
  for (let at = 0; at < program.length; at++) {
    const { code, jumpTrue, jumpFalse, operand } = program[at]!
    const jump = (condition: boolean): void => void (at += condition ? jumpTrue : jumpFalse)
    switch (code) {
      case BpfCode.LoadLength: a = packet.length; break
      case BpfCode.LoadByte:
        if (operand >= packet.length) return 0
        a = packet[operand]!
        break
      case BpfCode.LoadWord:
        if (operand + 4 > packet.length) return 0
        a = packet.readUInt32BE(operand)
        break
      case BpfCode.And: a = (a & operand) >>> 0; break
      case BpfCode.Modulo: a %= operand; break
      case BpfCode.XorX: a = (a ^ x) >>> 0; break
      case BpfCode.StoreToX: x = a; break
      case BpfCode.JumpEqual: jump(a === operand); break
      case BpfCode.JumpGreaterOrEqual: jump(a >= operand); break
      case BpfCode.JumpSet: jump((a & operand) !== 0); break
      case BpfCode.Return: return operand
      case BpfCode.ReturnA: return a
      default: throw new Error(`unknown instruction ${code}`)
    }
  }
  throw new Error('the program has no end')
}

function chosen(connectionId: Buffer, count: number): number {
  return ((connectionId.readUInt32BE(0) ^ connectionId.readUInt32BE(4)) >>> 0) % count
}

/** What a server reads, and the connection id that our own code finds in it. */
function recorded(): { datagram: Buffer; version: string; form: HeaderForm; connectionId: Buffer | undefined }[] {
  const peek = new DatagramPeek(Perspective.Server)
  return caseNames().map(loadCase).flatMap(({ info, datagrams }) =>
    datagrams.filter(({ from }) => from === 'client').flatMap(({ bytes }) => {
      const datagram = Buffer.from(bytes)
      if (!peekDatagram(datagram, 0, datagram.length, peek)) return []
      const at = peek.connectionIdOffset
      const connectionId = peek.hasConnectionId ? datagram.subarray(at, at + 8) : undefined
      return [{ datagram, version: info.version ?? 'none', form: peek.form, connectionId }]
    })
  )
}

describe('the filter of a shared port', () => {
  it('chooses by the connection id of every recorded datagram of every version', () => {
    const counts = [1, 2, 3, 8, 64]
    const programs = counts.map(reusePortFilter)
    const versions = new Set<string>()
    const forms = new Set<HeaderForm>()
    const sockets = new Set<number>()
    for (const { datagram, version, form, connectionId } of recorded()) {
      for (const [i, program] of programs.entries()) {
        const expected = connectionId === undefined ? NO_SOCKET : chosen(connectionId, counts[i]!)
        expect(run(program, datagram)).toBe(expected)
        if (counts[i] === 8) sockets.add(expected)
      }
      versions.add(version)
      forms.add(form)
    }
    expect(versions.size).toBeGreaterThan(10)
    expect(forms).toEqual(new Set([HeaderForm.Public, HeaderForm.LongNibbles, HeaderForm.LongPrefixed, HeaderForm.Short]))
    expect(sockets.size).toBeGreaterThanOrEqual(8)
  })

  it('agrees with what a server reads about any datagram that it can read', () => {
    const peek = new DatagramPeek(Perspective.Server)
    const program = reusePortFilter(1000)
    const lengths = fc.constantFrom(8, 0x50, 0x55, 0x05, 0, 20)
    let withId = 0
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ minLength: 14, maxLength: 40 }), fc.uint8Array({ maxLength: 40 })), lengths, (bytes, length) => {
        const datagram = Buffer.from(bytes)
        if (datagram.length > 5 && (datagram[0]! & 0x80) !== 0) datagram[5] = length
        const result = run(program, datagram)
        if (!peekDatagram(datagram, 0, datagram.length, peek)) return
        const at = peek.connectionIdOffset
        if (peek.hasConnectionId) {
          withId++
          expect(result).toBe(chosen(datagram.subarray(at, at + 8), 1000))
        } else if ((datagram[0]! & 0x80) === 0) {
          expect(result).toBe(NO_SOCKET)
        }
      }),
      { numRuns: 5000 }
    )
    expect(withId).toBeGreaterThan(300)
  })

  it('never names the first socket for want of bytes', () => {
    const program = reusePortFilter(4)
    for (let first = 0; first < 256; first++) {
      for (const length of [0, 1, 8]) expect(run(program, Buffer.alloc(length, first))).toBe(NO_SOCKET)
    }
    expect(run(program, Buffer.concat([Buffer.of(0xc0, 1, 2, 3, 4, 8), Buffer.alloc(7)]))).toBe(NO_SOCKET)
  })

  it('takes sensible numbers of sockets only', () => {
    for (const count of [0, -1, 1.5, 65_536, NaN]) expect(() => reusePortFilter(count)).toThrow(RangeError)
    expect(encodeFilter(reusePortFilter(3)).length % 4).toBe(0)
  })
})

/** Keeps which datagrams came. */
class Log implements DatagramHandler {
  readonly ids: string[] = []

  onDatagram(_from: unknown, bytes: Uint8Array): void {
    const long = (bytes[0]! & 0x80) !== 0
    this.ids.push(Buffer.from(bytes).toString('hex', long ? 6 : 1, long ? 14 : 9))
  }

  onBatchEnd(): void {}
  onWritable(): void {}
  onTooBig(): void {}
  onSocketError(): void {}
}

describe.skipIf(addon === undefined)('sockets that share a port', () => {
  it('each get all datagrams of their connections, wherever those come from', async () => {
    const engine = new NativeEngine({}, addon)
    const open: DatagramSocket[] = []
    const socket = async (handler: DatagramHandler, port: number, count?: number): Promise<DatagramSocket> => {
      const reusePort = count === undefined ? undefined : { count }
      const opened = await engine.open({ address: '127.0.0.1', port, handler, reusePort })
      open.push(opened)
      return opened
    }
    try {
      const count = 4
      const logs = Array.from({ length: count }, () => new Log())
      const first = await socket(logs[0]!, 0, count)
      const to = first.localAddress
      for (const log of logs.slice(1)) await socket(log, to.port, count)
      const senders = await Promise.all(Array.from({ length: 8 }, () => socket(new Log(), 0)))
      const ids = Array.from({ length: 40 }, (_, i) => Buffer.from([i, 7, i * 3, 1, 0, 0, i * 5, i * 11]))
      const headers = [
        (id: Buffer) => Buffer.concat([Buffer.of(0x0c), id, Buffer.of(1)]),
        (id: Buffer) => Buffer.concat([Buffer.of(0x40), id, Buffer.of(1)]),
        (id: Buffer) => Buffer.concat([Buffer.of(0x30), id, Buffer.of(1)]),
        (id: Buffer) => Buffer.concat([Buffer.of(0xc3, 0x51, 0x30, 0x35, 0x30, 8), id, Buffer.of(0)]),
        (id: Buffer) => Buffer.concat([Buffer.of(0xc3, 0x51, 0x30, 0x34, 0x36, 0x50), id, Buffer.of(0)])
      ]
      for (const sender of senders) {
        for (const header of headers) {
          for (const id of ids) {
            const datagram = header(id)
            const buffer = sender.acquireBuffer()
            buffer.set(datagram)
            sender.send({ to, length: datagram.length, segmentSize: datagram.length }, buffer)
          }
        }
        sender.flush()
      }
      const total = senders.length * headers.length * ids.length
      const received = (): number => logs.reduce((sum, log) => sum + log.ids.length, 0)
      for (let i = 0; received() < total && i < 1000; i++) await new Promise((resolve) => setTimeout(resolve, 5))
      expect(received()).toBe(total)
      const expected = logs.map((_, i) => ids.filter((id) => chosen(id, count) === i).map((id) => id.toString('hex')).sort())
      expect(logs.map((log) => [...new Set(log.ids)].sort())).toEqual(expected)
      expect(expected.every((some) => some.length > 0)).toBe(true)
    } finally {
      for (const opened of open) await opened.close()
    }
  })

  it('have to say so, all of them', async () => {
    const engine = new NativeEngine({}, addon)
    const shared = await engine.open({ address: '127.0.0.1', port: 0, handler: new Log(), reusePort: { count: 2 } })
    const { port } = shared.localAddress
    await expect(engine.open({ address: '127.0.0.1', port, handler: new Log() })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    await shared.close()
  })
})

it('the node engine shares no port', async () => {
  const options = { address: '127.0.0.1', port: 0, handler: new Log(), reusePort: { count: 2 } }
  await expect(new NodeEngine().open(options)).rejects.toMatchObject({ code: 'ERR_FEATURE_UNAVAILABLE' })
})
