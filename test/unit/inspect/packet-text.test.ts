import { describe, expect, it } from 'vitest'
import { ackText, settingsText, stopWaitingText } from '../../../src/inspect/packet-text.js'
import type { AckFrame } from '../../../src/quic/wire/frames/frames.js'

const ack = { largestAcked: 9, ackDelay: 25, rangeCount: 2, ranges: [7, 9, 3, 3] } as unknown as AckFrame

describe('frames in words', () => {
  it('name what acknowledgements hold: ranges, entropy where there is one, and whether there was more', () => {
    expect(ackText(ack, -1, false)).toBe('ACK largest 9 delay 25 µs: 7-9 3')
    expect(ackText(ack, 5, true)).toBe('ACK largest 9 (truncated) delay 25 µs: 7-9 3 entropy 0x05')
    expect(ackText({ ...ack, ackDelay: Infinity, rangeCount: 0 }, -1, false)).toBe('ACK largest 9 delay unknown: none')
    expect(stopWaitingText(4, -1)).toBe('STOP_WAITING least unacked 4')
    expect(stopWaitingText(4, 0xab)).toBe('STOP_WAITING least unacked 4 entropy 0xab')
  })

  it('name settings, and give the number of those without a name', () => {
    expect(settingsText([[1, 4096], [0x77, 2]]).trim()).toMatch(/^SETTINGS [A-Za-z_]*HEADER_?TABLE_?SIZE=4096 119=2$/i)
  })
})
