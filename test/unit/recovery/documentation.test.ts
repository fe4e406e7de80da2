import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

/** Where connection options are acted upon. */
const sources = [
  'src/quic/handshake/client/client-handshake.ts',
  'src/quic/recovery/connection-options.ts',
  'src/quic/recovery/sent-packet-manager.ts',
  'src/quic/spdy/spdy-server-session.ts',
  'src/quic/spdy/spdy-session.ts',
  'src/quic/transport/acks/ack-scheduler.ts',
  'src/quic/transport/bandwidth-resumption.ts',
  'src/quic/transport/connection-parts.ts',
  'src/quic/transport/connection-path.ts'
]

describe('docs/transport.md', () => {
  it('has every connection option that is acted upon, and no other', () => {
    const text = readFileSync('docs/transport.md', 'utf8')
    const table = text.slice(text.indexOf('| tag |'), text.indexOf('These are all'))
    const documented = new Set([...table.matchAll(/`([A-Z0-9]{4})`/g)].map(([, tag]) => tag))
    const known = new Set<string>()
    for (const file of sources) {
      const source = readFileSync(file, 'utf8')
      for (const [, tag] of source.matchAll(/includes\('([A-Z0-9]{4})'\)/g)) known.add(tag!)
      for (const [, tag] of source.matchAll(/\b(IW\d\d): \d/g)) known.add(tag!)
    }
    expect(known.size).toBeGreaterThan(28)
    expect([...documented].sort()).toEqual([...known].sort())
  })
})
