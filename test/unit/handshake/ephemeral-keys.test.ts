import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { EPHEMERAL_KEY_SECONDS, EphemeralKeys } from '../../../src/quic/handshake/server/ephemeral-keys.js'

function keysOn(calendar: { seconds: number }): EphemeralKeys {
  return new EphemeralKeys({ wallSeconds: () => calendar.seconds, randomBytes: (length) => new Uint8Array(randomBytes(length)) })
}

describe('ephemeral keys of a server', () => {
  it('serve for some seconds, and then never again', () => {
    const calendar = { seconds: 1_000 }
    const keys = keysOn(calendar)
    const first = keys.get('C255')
    calendar.seconds += EPHEMERAL_KEY_SECONDS - 1
    expect(keys.get('C255')).toBe(first)
    calendar.seconds += 1
    const second = keys.get('C255')
    expect(second.publicValue).not.toEqual(first.publicValue)
    calendar.seconds += EPHEMERAL_KEY_SECONDS
    expect([first, second]).not.toContain(keys.get('C255'))
  })

  it('differ by exchange', () => {
    const keys = keysOn({ seconds: 1_000 })
    expect(keys.get('C255').name).toBe('C255')
    expect(keys.get('P256').name).toBe('P256')
    expect(keys.get('P256')).toBe(keys.get('P256'))
  })

  it('do not outlive a calendar that is set back', () => {
    const calendar = { seconds: 1_000 }
    const keys = keysOn(calendar)
    const first = keys.get('C255')
    calendar.seconds = 10
    expect(keys.get('C255')).not.toBe(first)
  })
})
