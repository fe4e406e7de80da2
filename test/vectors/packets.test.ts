/**
 * The recorded packets of real implementations against our codecs, both ways.
 */
import { describe, expect, it } from 'vitest'
import { hkdf } from '../../src/quic/crypto/hkdf.js'
import { aeadKeyLength, diversifyServerKey, IV_LENGTH } from '../../src/quic/crypto/key-schedule.js'
import { PacketBatch } from '../../src/quic/crypto/protection.js'
import { EncryptionLevel, Perspective } from '../../src/quic/types.js'
import { PublicFlag } from '../../src/quic/wire/public-header.js'
import { buildPublicReset, parsePublicReset } from '../../src/quic/wire/public-reset.js'
import { buildVersionNegotiation, parseVersionNegotiation } from '../../src/quic/wire/version-negotiation.js'
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
    let encoded = encodeFrame(version.frames, frame, context)!
    let skipped = 0
    if (frame.kind === 'ack') {
      skipped = timestampBytes(plaintext[at + encoded.length - 1]!)
      if (skipped > 0) encoded = encoded.subarray(0, -1)
    }
    expect(encoded.toString('hex')).toBe(plaintext.subarray(at, at + encoded.length).toString('hex'))
    at += encoded.length + (skipped > 0 ? 1 + skipped : 0)
    same.set(frame.kind, (same.get(frame.kind) ?? 0) + 1)
  }
  expect(at).toBe(plaintext.length)
  return same
}

/** Writes header and payload again and seals them. */
function reseal(packet: OpenedRecording): Buffer {
  const { datagram, version, sender, header, connectionId, packetNumber, plaintext, sealer, level } = packet
  const batch = new PacketBatch()
  const buffer = Buffer.alloc(datagram.bytes.length)
  const { packetNumberLength, versionTag, nonceOffset } = header
  const nonce = nonceOffset < 0 ? undefined : datagram.bytes.subarray(nonceOffset, nonceOffset + 32)
  const headerEnd = version.header.write(buffer, 0, sender, {
    connectionId,
    includeVersion: versionTag !== 0,
    nonce,
    packetNumber,
    packetNumberLength,
    level
  })
  // Chromium's clients set the bit that was once the half of 0x08, quic-go's do not: take it over.
  const legacy = datagram.bytes[0]! & PublicFlag.Nonce
  if (sender === Perspective.Client) buffer[0] = (buffer[0]! & ~PublicFlag.Nonce) | legacy
  const start = headerEnd + sealer.prefixLength
  plaintext.copy(buffer, start)
  batch.buffer = buffer
  batch.add(0, start, start + plaintext.length, packetNumber)
  sealer.seal(batch)
  return buffer
}

describe.each(caseNames())('%s', name => {
  const recorded = loadCase(name)
  const opened = openCase(recorded)

  it('opens every datagram but the known ones', () => {
    expect(opened.unopened).toHaveLength(recorded.info.undecryptable ?? 0)
    expect(
      opened.packets.length + opened.versionNegotiations.length + opened.publicResets.length + opened.unopened.length
    ).toBe(recorded.datagrams.length)
  })

  it('parses every frame and writes it again as it was', () => {
    for (const packet of opened.packets) compareFrames(packet)
  })

  it('writes and seals every packet again as it was', () => {
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
      for (const { bytes } of opened.versionNegotiations) {
        const tags = parseVersionNegotiation(bytes, 9, bytes.length)!
        expect(Buffer.from(buildVersionNegotiation(bytes.subarray(1, 9), tags))).toEqual(bytes)
        negotiations++
      }
      for (const { bytes } of opened.publicResets) {
        const { rejectedPacketNumber, clientAddress } = parsePublicReset(bytes, 9, bytes.length)!
        const reset = { rejectedPacketNumber: rejectedPacketNumber!, clientAddress }
        expect(Buffer.from(buildPublicReset(bytes.subarray(1, 9), reset))).toEqual(bytes)
        resets++
      }
    }
    expect(negotiations).toBeGreaterThanOrEqual(5)
    expect(resets).toBeGreaterThanOrEqual(3)
  })
})

describe('the key schedule', () => {
  it('gives every recorded key', () => {
    let keys = 0
    for (const name of caseNames()) {
      for (const { aead, keys: levels } of loadCase(name).info.connections) {
        for (const level of levels) {
          const hex = (text: string): Buffer => Buffer.from(text, 'hex')
          const keyLength = aeadKeyLength(aead!)
          const length = 2 * keyLength + 2 * IV_LENGTH + 32
          const { sharedSecret, hkdfSalt, hkdfInfo } = level
          const block = Buffer.from(hkdf(hex(sharedSecret), hex(hkdfSalt), hex(hkdfInfo), length)).toString('hex')
          const server = level.serverKeyBeforeDiversification ?? level.serverKey
          const serverIv = level.serverIvBeforeDiversification ?? level.serverIv
          // quic-go keeps no subkey secret, the last 32 bytes.
          const expected = [level.clientKey, server, level.clientIv, serverIv, level.subkeySecret ?? ''].join('')
          expect(block.slice(0, expected.length)).toBe(expected)
          keys++
          if (level.diversificationNonce === undefined) continue
          const diversified = diversifyServerKey(aead!, hex(server!), hex(serverIv!), hex(level.diversificationNonce))
          expect(Buffer.from(diversified.key).toString('hex')).toBe(level.serverKey)
          expect(Buffer.from(diversified.iv).toString('hex')).toBe(level.serverIv)
        }
      }
    }
    expect(keys).toBeGreaterThan(40)
  })
})

describe('all recordings together', () => {
  it('compare so many frames that the comparison means something', () => {
    const total = new Map<string, number>()
    const levels = new Set<EncryptionLevel>()
    let packets = 0
    for (const name of caseNames()) {
      for (const packet of openCase(loadCase(name)).packets) {
        packets++
        levels.add(packet.level)
        for (const [kind, count] of compareFrames(packet)) total.set(kind, (total.get(kind) ?? 0) + count)
      }
    }
    expect(packets).toBeGreaterThan(1400)
    expect(levels).toEqual(new Set([EncryptionLevel.None, EncryptionLevel.Initial, EncryptionLevel.ForwardSecure]))
    for (const kind of ['stream', 'ack', 'stopWaiting']) expect(total.get(kind)).toBeGreaterThan(300)
    for (const kind of ['windowUpdate', 'padding']) expect(total.get(kind)).toBeGreaterThan(10)
    for (const kind of ['rstStream', 'connectionClose', 'goAway']) expect(total.get(kind)).toBeGreaterThan(0)
  })
})
