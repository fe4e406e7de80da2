import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, it } from 'vitest'
import { decodeSocketAddress, encodeSocketAddress, ipBytes } from '../../../src/quic/wire/socket-address.js'

describe('ipBytes', () => {
  it('gives the bytes of every address, whichever way it is written', () => {
    const texts = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.constantFrom('010.1.1.1', '::ffff:10.0.0.1', '0.0.0.0'))
    fc.assert(
      fc.property(texts, (text) => {
        expect([...ipBytes(text)]).toEqual(ipaddr.parse(text).toByteArray())
      })
    )
  })

  it('takes nothing else for an address', () => {
    for (const text of ['', '1.2.3', '1.2.3.', '1.2.3.4.5', '256.1.1.1', '1..2.3', '1.2.3.4 ', 'localhost']) {
      const known = ipaddr.isValid(text) ? ipaddr.parse(text).toByteArray() : undefined
      if (known === undefined) expect(() => ipBytes(text), text).toThrow()
      else expect([...ipBytes(text)], text).toEqual(known)
    }
  })
})

describe('encodeSocketAddress', () => {
  it('is undone by decodeSocketAddress', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 0, max: 65_535 }), (address, port) => {
        expect(decodeSocketAddress(encodeSocketAddress({ family: 4, address, port }))).toEqual({ family: 4, address, port })
      })
    )
  })
})
