import { describe, expect, it } from 'vitest'
import { addressChange, PathMigration } from '../../../src/quic/transport/path-migration.js'
import type { PeerAddress } from '../../../src/quic/types.js'

function at(address: string, port = 443): PeerAddress {
  return { family: address.includes(':') ? 6 : 4, address, port }
}

describe('the change between two addresses', () => {
  it.each([
    [at('10.0.0.1'), at('10.0.0.1'), 'none'],
    [at('10.0.0.1'), at('10.0.0.1', 444), 'port'],
    [at('2001:db8::1'), at('2001:db8::1', 444), 'port'],
    [at('10.0.0.1'), at('10.0.0.254', 9), 'ipv4-subnet'],
    [at('10.0.0.1'), at('10.0.1.1'), 'address'],
    [at('10.0.0.1'), at('110.0.0.1'), 'address'],
    [at('10.0.0.1'), at('2001:db8::1'), 'address'],
    [at('2001:db8::1'), at('10.0.0.1'), 'address'],
    [at('2001:db8::1'), at('2001:db8::2'), 'address']
  ] as const)('%j to %j is %s', (from, to, change) => {
    expect(addressChange(from, to)).toBe(change)
  })
})

describe('mechanism: NAT rebinding', () => {
  it('waits for an acknowledgement of something sent after the move', () => {
    const migration = new PathMigration()
    expect(migration.mayStart(false)).toBe(true)
    migration.start(50)
    expect(migration.underway).toBe(true)
    expect(migration.mayStart(false)).toBe(false)
    migration.onAck(50)
    expect(migration.mayStart(false)).toBe(false)
    migration.onAck(51)
    expect(migration.underway).toBe(false)
    expect(migration.mayStart(false)).toBe(true)
  })

  it('does not wait for an address that does not answer', () => {
    const migration = new PathMigration()
    migration.start(50)
    expect(migration.mayStart(true)).toBe(true)
  })
})
