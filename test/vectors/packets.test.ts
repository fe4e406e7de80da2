/**
 * The recorded packets of real implementations against our codecs, both ways.
 */
import { describe, expect, it } from 'vitest'
import { hkdf } from '../../src/quic/crypto/hkdf.js'
import { deriveInitialKeys } from '../../src/quic/crypto/initial-keys.js'
import { diversifyServerKey, expandKeys } from '../../src/quic/crypto/key-schedule.js'
import { PacketBatch } from '../../src/quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import { HeaderForm } from '../../src/quic/wire/datagram-peek.js'
import { PublicFlag } from '../../src/quic/wire/public-header.js'
import { buildPublicReset, parsePublicReset } from '../../src/quic/wire/public-reset.js'
import { buildVersionNegotiation, parseVersionNegotiation } from '../../src/quic/wire/version-negotiation.js'
import { knownVersionByLabel } from '../../src/quic/wire/versions/registry.js'
import { hasEngine, makeEngine, testedEngines } from '../helpers/engines.js'
import { encodeFrame } from '../helpers/frame-encoder.js'
import { FrameLog } from '../helpers/frame-log.js'
import type { LoggedFrame } from '../helpers/frame-log.js'
import { openCase } from '../helpers/recorded-packets.js'
import type { OpenedRecording } from '../helpers/recorded-packets.js'
import { caseNames, loadCase } from '../helpers/vectors.js'

const STREAM_LENGTH_BIT = 0x20

function framesOf(packet: OpenedRecording): LoggedFrame[] {
  const log = new FrameLog()
  const { plaintext, version, packetNumber, header } = packet
  version.frames.decode(plaintext, 0, plaintext.length, packetNumber, header.packetNumberLength, log)
  return log.frames
}

/** Bytes of an ACK's timestamps behind their count. */
function timestampBytes(count: number): number {
  return count === 0 ? 0 : 5 + 3 * (count - 1)
}

/**
 * Writes every frame again and compares it with the plaintext where it was found. What no sender has to write in one
 * way only is left out: an ACK's timestamps, of which ours has none.
 *
 * @returns how many frames of each kind were the same
 */
function compareFrames(packet: OpenedRecording): Map<string, number> {
  const { plaintext, version, packetNumber, header } = packet
  const same = new Map<string, number>()
  let at = 0
  for (const frame of framesOf(packet)) {
    const withLength = (plaintext[at]! & STREAM_LENGTH_BIT) !== 0
    const context = { packetNumber, packetNumberLength: header.packetNumberLength, withLength }
    const encoded = encodeFrame(version.frames, frame, context)!
    if (frame.kind === 'ack') {
      at += compareAck(encoded, plaintext.subarray(at), version.traits.entropy)
    } else {
      expect(encoded.toString('hex')).toBe(plaintext.toString('hex', at, at + encoded.length))
      at += encoded.length
    }
    same.set(frame.kind, (same.get(frame.kind) ?? 0) + 1)
  }
  expect(at).toBe(plaintext.length)
  return same
}

/** Compares all but timestamps, which stand at the end or, in versions with entropy, before the missing ranges. */
function compareAck(encoded: Buffer, recorded: Buffer, entropy: boolean): number {
  const widths = [1, 2, 4, 6]
  const count = entropy ? 4 + widths[(recorded[0]! >>> 2) & 3]! : encoded.length - 1
  const timestamps = timestampBytes(recorded[count]!)
  const without = Buffer.concat([recorded.subarray(0, count), recorded.subarray(count + 1 + timestamps)])
  const rest = encoded.length - count - 1
  expect(encoded.toString('hex', 0, count)).toBe(without.toString('hex', 0, count))
  expect(encoded.toString('hex', count + 1)).toBe(without.toString('hex', count, count + rest))
  return encoded.length + timestamps
}

/** Writes header and payload again and seals them. */
function reseal(packet: OpenedRecording): Buffer {
  const { datagram, version, sender, header, headerBytes, connectionId, packetNumber, plaintext, sealer } = packet
  const batch = new PacketBatch()
  const buffer = Buffer.alloc(datagram.bytes.length)
  const { packetNumberLength, versionTag, nonceOffset } = header
  const outgoing = {
    connectionId: packet.namesConnection || version.traits.longHeaders ? connectionId : undefined,
    includeVersion: versionTag !== 0,
    nonce: nonceOffset < 0 ? undefined : headerBytes.subarray(nonceOffset, nonceOffset + 32),
    packetNumber,
    packetNumberLength,
    level: headerLevel(packet)
  }
  const headerEnd = version.header.write(buffer, 0, sender, outgoing)
  const start = headerEnd + sealer.prefixLength
  const payloadEnd = start + plaintext.length
  const numberOffset = version.header.finish(buffer, headerEnd, outgoing, payloadEnd + sealer.suffixLength)
  expect(numberOffset).toBe(header.packetNumberOffset)
  // The bits that implementations differ in: what packets below the forward-secure keys are called, and the flag that
  // Chromium's clients set from the days when it was half of another.
  const free = packet.form === HeaderForm.Public ? (sender === Perspective.Client ? PublicFlag.Nonce : 0) : 0x33
  if (packet.form !== HeaderForm.Short) buffer[0] = (buffer[0]! & ~free) | (headerBytes[0]! & free)
  expect(buffer.toString('hex', 0, headerEnd)).toBe(headerBytes.toString('hex'))
  plaintext.copy(buffer, start)
  batch.buffer = buffer
  batch.add(0, start, payloadEnd, packetNumber, numberOffset)
  sealer.seal(batch)
  return buffer
}

/** The level whose header the packet has: lsquic keeps to long headers for a while under forward-secure keys. */
function headerLevel({ form, level, header }: OpenedRecording): EncryptionLevel {
  const long = form === HeaderForm.LongNibbles || form === HeaderForm.LongPrefixed
  if (!long || level !== EncryptionLevel.ForwardSecure) return level
  return header.nonceOffset < 0 ? EncryptionLevel.None : EncryptionLevel.Initial
}

const onEngines = testedEngines.flatMap((engine) =>
  caseNames().map((name) => {
    const versions = loadCase(name).info.connections.map((connection) => connection.version ?? 'no version')
    return [[...new Set(versions)].join(' and '), name, engine] as const
  })
)
const aeads = Object.fromEntries(testedEngines.map((engine) => [engine, makeEngine(engine).aeadProvider]))

describe.each(onEngines)('mechanism: packets of recorded connections: %s, %s with the %s engine', (_versions, name, engine) => {
  const recorded = loadCase(name)
  const opened = openCase(recorded, aeads[engine])

  it.skipIf(!hasEngine(engine))('opens every datagram but the known ones', () => {
    expect(opened.unopened).toHaveLength(recorded.info.undecryptable ?? 0)
    expect(
      opened.packets.length + opened.versionNegotiations.length + opened.publicResets.length + opened.unopened.length
    ).toBe(recorded.datagrams.length)
  })

  it.skipIf(!hasEngine(engine))('parses every frame and writes it again as it was', () => {
    for (const packet of opened.packets) compareFrames(packet)
  })

  it.skipIf(!hasEngine(engine))('writes and seals every packet again as it was', () => {
    for (const packet of opened.packets) {
      expect(reseal(packet).toString('hex')).toBe(packet.datagram.bytes.toString('hex'))
    }
  })
})

describe('packets that have no protection', () => {
  it('are built as Chromium built them', () => {
    let negotiations = 0
    let resets = 0
    for (const name of caseNames()) {
      const opened = openCase(loadCase(name))
      for (const { datagram, bodyStart } of opened.versionNegotiations) {
        const { bytes } = datagram
        const tags = parseVersionNegotiation(bytes, bodyStart, bytes.length)!
        const built = Buffer.from(buildVersionNegotiation(bytes.subarray(1, 9), tags))
        // quic-go leaves the flag out that Chromium sets out of habit.
        built[0] = (built[0]! & ~PublicFlag.Nonce) | (bytes[0]! & PublicFlag.Nonce)
        expect(built).toEqual(bytes)
        negotiations++
      }
      for (const { datagram, bodyStart } of opened.publicResets) {
        const { bytes } = datagram
        const { rejectedPacketNumber, clientAddress } = parsePublicReset(bytes, bodyStart, bytes.length)!
        const reset = { rejectedPacketNumber: rejectedPacketNumber!, clientAddress }
        expect(Buffer.from(buildPublicReset(bytes.subarray(1, 9), reset))).toEqual(bytes)
        resets++
      }
    }
    expect(negotiations).toBeGreaterThanOrEqual(5)
    expect(resets).toBeGreaterThanOrEqual(3)
  })
})

describe('mechanism: key schedule of recorded connections', () => {
  const hex = (text: string): Buffer => Buffer.from(text, 'hex')
  const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('hex')
  const recorded = caseNames()
    .flatMap(name => loadCase(name).info.connections)
    .flatMap(connection => connection.keys.map(keys => ({ connection, keys })))

  it('gives every recorded key', () => {
    let headerKeys = 0
    const derived = recorded.filter(({ keys }) => keys.level !== 'versionSalt')
    for (const { connection, keys } of derived) {
      const { aead } = connection
      const { protection } = knownVersionByLabel(connection.version!)!
      const block = expandKeys(hex(keys.sharedSecret), hex(keys.hkdfSalt), [hex(keys.hkdfInfo)], aead!, protection)
      expect(text(block.clientKey)).toBe(keys.clientKey)
      expect(text(block.clientIv)).toBe(keys.clientIv)
      const server = keys.serverKeyBeforeDiversification ?? keys.serverKey
      const serverIv = keys.serverIvBeforeDiversification ?? keys.serverIv
      if (server !== undefined) expect(text(block.serverKey)).toBe(server)
      if (serverIv !== undefined) expect(text(block.serverIv)).toBe(serverIv)
      // Nothing here uses the subkey secret, and quic-go keeps none.
      if (keys.subkeySecret !== undefined) {
        const before = 2 * (block.clientKey.length + block.clientIv.length)
        const stream = hkdf(hex(keys.sharedSecret), hex(keys.hkdfSalt), [hex(keys.hkdfInfo)], before + 32)
        expect(text(stream.subarray(before))).toBe(keys.subkeySecret)
      }
      expect(text(block.clientHeaderKey)).toBe(keys.clientHp ?? '')
      expect(text(block.serverHeaderKey)).toBe(keys.serverHp ?? '')
      if (block.serverHeaderKey !== undefined) headerKeys++
      if (keys.diversificationNonce === undefined) continue
      const diversified = diversifyServerKey(aead!, hex(server!), hex(serverIv!), hex(keys.diversificationNonce))
      expect(text(diversified.key)).toBe(keys.serverKey)
      expect(text(diversified.iv)).toBe(keys.serverIv)
    }
    expect(derived.length).toBeGreaterThan(90)
    expect(headerKeys).toBeGreaterThanOrEqual(8)
  })

  it('gives the keys that obfuscate the cleartext of Q050', () => {
    const salted = recorded.filter(({ keys }) => keys.level === 'versionSalt')
    for (const { connection, keys } of salted) {
      const client = deriveInitialKeys(Perspective.Client, hex(connection.connectionId))
      const server = deriveInitialKeys(Perspective.Server, hex(connection.connectionId))
      const { clientKey, clientIv, clientHp, serverKey, serverIv, serverHp } = keys
      expect([client.key, client.iv, client.headerKey].map(text)).toEqual([clientKey, clientIv, clientHp])
      expect([server.key, server.iv, server.headerKey].map(text)).toEqual([serverKey, serverIv, serverHp])
    }
    expect(salted.length).toBeGreaterThanOrEqual(4)
  })
})

describe('all recordings together', () => {
  it('compare so many frames that the comparison means something', () => {
    const total = new Map<string, number>()
    const levels = new Set<EncryptionLevel>()
    const versions = new Set<string>()
    let packets = 0
    for (const name of caseNames()) {
      for (const packet of openCase(loadCase(name)).packets) {
        packets++
        levels.add(packet.level)
        versions.add(packet.version.label)
        for (const [kind, count] of compareFrames(packet)) total.set(kind, (total.get(kind) ?? 0) + count)
      }
    }
    expect(packets).toBeGreaterThan(4000)
    expect(versions).toEqual(
      new Set(['Q032', 'Q033', 'Q034', 'Q035', 'Q036', 'Q037', 'Q039', 'Q043', 'Q044', 'Q046', 'Q050'])
    )
    expect(levels).toEqual(new Set([EncryptionLevel.None, EncryptionLevel.Initial, EncryptionLevel.ForwardSecure]))
    for (const kind of ['stream', 'ack', 'stopWaiting']) expect(total.get(kind)).toBeGreaterThan(300)
    for (const kind of ['windowUpdate', 'padding']) expect(total.get(kind)).toBeGreaterThan(10)
    const rare = ['rstStream', 'connectionClose', 'goAway', 'crypto', 'entropyFlag']
    for (const kind of rare) expect(total.get(kind)).toBeGreaterThan(0)
  })
})
