/**
 * The sums that Chromium's two sides proved to each other, against ours.
 */
import { describe, expect, it } from 'vitest'
import { SentEntropy } from '../../src/quic/transport/acks/entropy.js'
import { Perspective } from '../../src/quic/types.js'
import { FrameLog, ackOf } from '../helpers/frame-log.js'
import type { LoggedFrame } from '../helpers/frame-log.js'
import { openCase } from '../helpers/recorded-packets.js'
import type { OpenedRecording } from '../helpers/recorded-packets.js'
import { caseNames, loadCase } from '../helpers/vectors.js'

function framesOf({ plaintext, version, packetNumber, header }: OpenedRecording): LoggedFrame[] {
  const log = new FrameLog()
  version.frames.decode(plaintext, 0, plaintext.length, packetNumber, header.packetNumberLength, log)
  return log.frames
}

const cases = caseNames(name => /-v3[23]-/.test(name)).map(name => [`Q0${/-v(3[23])-/.exec(name)![1]}`, name] as const)

describe.each(cases)('mechanism: entropy: %s, %s', (_version, name) => {
  it('has the hashes that follow from the packets', () => {
    const sent = [new SentEntropy(), new SentEntropy()]
    let acks = 0
    let truncated = 0
    for (const packet of openCase(loadCase(name)).packets) {
      const { sender, packetNumber } = packet
      const frames = framesOf(packet)
      const bit = frames.some(frame => frame.kind === 'entropyFlag' && frame.entropy)
      sent[sender]!.record(packetNumber, bit)
      const peer = sender === Perspective.Client ? Perspective.Server : Perspective.Client
      for (const frame of frames) {
        if (frame.kind === 'ack') {
          const ack = ackOf(frame.largestAcked, frame.ackDelay, frame.ranges)
          expect(sent[peer]!.matches(ack, frame.entropyHash!)).toBe(true)
          expect(sent[peer]!.matches(ack, frame.entropyHash! ^ 1)).toBe(false)
          acks++
          if (frame.truncated) truncated++
        } else if (frame.kind === 'stopWaiting') {
          expect(sent[sender]!.hashBelow(frame.leastUnacked)).toBe(frame.entropyHash)
        }
      }
    }
    expect(acks).toBeGreaterThan(4)
    expect(truncated).toBe(0)
  })
})
