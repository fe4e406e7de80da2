import { describe, expect } from 'vitest'
import { Perspective } from '../../src/quic/types.js'
import { DatagramPeek, peekDatagram } from '../../src/quic/wire/datagram-peek.js'
import { answerVersion } from '../../src/quic/wire/version-negotiation.js'
import { supportedVersions, versionByLabel } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { Delay, DropIf, Duplicate, Loss, Reorder } from '../helpers/sim/network.js'
import { connectPair, makePair, runExchanges, scenario } from '../helpers/sim/scenario.js'

const small = { up: 300, down: 3_000, seed: 1 }
const q036 = versionByLabel('Q036')!
const q034 = versionByLabel('Q034')!
/** Stand for no version, and are listed so that nobody relies on lists. */
const greased = [0x0a0a0a0a, 0xfadafa7a | 0]

const othersThan = (version: QuicVersion): QuicVersion[] => supportedVersions.filter((other) => other !== version)

/** The answer to a client's first datagram that lists these versions, as anybody can write it. */
function negotiation(datagram: Uint8Array, tags: readonly number[]): Uint8Array {
  const peek = new DatagramPeek(Perspective.Server)
  expect(peekDatagram(datagram, 0, datagram.length, peek)).toBe(true)
  return answerVersion(datagram, peek, tags)
}

/** A client whose first datagram an attacker answers with this list; the server never sees that one. */
function deceived(seed: number, versions: QuicVersion[], serverVersions: QuicVersion[], tags: readonly number[]) {
  let first: Uint8Array | undefined
  const intercept = new DropIf((bytes, index) => {
    if (index === 0) first = bytes.slice()
    return index === 0
  })
  const pair = makePair({ seed, versions, serverVersions, up: [intercept, new Delay(20)] })
  pair.world.advance(1)
  pair.world.injectTo(pair.client, negotiation(first!, tags))
  return pair
}

describe('mechanism: version negotiation', () => {
  for (const wanted of supportedVersions) {
    scenario(`from ${wanted.label} to any other version, one round trip later`, 1, (seed) => {
      for (const spoken of othersThan(wanted)) {
        const { world, client } = connectPair({ seed, versions: [wanted, spoken], serverVersions: [spoken] })
        expect(world.elapsedMs).toBe(80)
        client.session.start(small)
        world.run(() => client.session.done)
        expect([client.connection.version, client.serverSide(world)!.version]).toEqual([spoken, spoken])
        expect(world.dispatcher.stats.versionNegotiationsSent).toBe(1)
      }
    })

    scenario(`from ${wanted.label} where packets are lost, doubled and out of order`, 2, (seed) => {
      const bad = (): [Delay, Loss, Reorder, Duplicate] => [
        new Delay(20),
        new Loss(0.15),
        new Reorder(0.3, 50),
        new Duplicate(0.3)
      ]
      const others = othersThan(wanted)
      const spoken = others[seed % others.length]!
      const options = { seed, versions: [wanted, spoken], serverVersions: [spoken], up: bad(), down: bad() }
      const { client } = runExchanges({ ...options, handshakeTimeout: 60_000_000 }, [small])
      expect(client.connection.version).toBe(spoken)
    })

    scenario(`from ${wanted.label} by a list with versions that nobody knows or that stand for none`, 1, (seed) => {
      const spoken = othersThan(wanted)[0]!
      const { client, world } = deceived(seed, [wanted, spoken], [spoken], [greased[0]!, spoken.tag, greased[1]!])
      world.run(() => client.connection.encryptionEstablished)
      client.session.start(small)
      world.run(() => client.session.done)
      expect(client.connection.version).toBe(spoken)
    })
  }

  scenario('takes the client\'s order, not the server\'s', 1, (seed) => {
    const serverVersions = [...supportedVersions].reverse()
    const { client } = connectPair({ seed, versions: supportedVersions, serverVersions })
    expect(client.connection.version).toBe(supportedVersions[0])
    const older = connectPair({ seed, versions: [q036, q034, versionByLabel('Q035')!], serverVersions: serverVersions.slice(0, 4) })
    expect(older.client.connection.version).toBe(q034)
  })

  scenario('ends the connection when there is no version in common', 1, (seed) => {
    const { world, client } = makePair({ seed, versions: [q036], serverVersions: [q034] })
    world.run(() => !client.connection.connected, 10_000)
    expect(client.connection.closeError!.code).toBe('QUIC_INVALID_VERSION')
  })
})

describe('mechanism: downgrade check', () => {
  for (const wanted of supportedVersions) {
    scenario(`${wanted.label}: a server that speaks it finds out that the client was talked out of it`, 1, (seed) => {
      const other = othersThan(wanted)[seed % (supportedVersions.length - 1)]!
      const { client, world } = deceived(seed, [wanted, other], [wanted, other], [other.tag])
      world.run(() => !client.connection.connected, 5_000)
      expect(client.connection.closeError!.code).toBe('QUIC_VERSION_NEGOTIATION_MISMATCH')
      expect(client.session.closedByPeer).toBe(true)
    })

    scenario(`${wanted.label}: a client finds out that a better version was hidden from it`, 1, (seed) => {
      const [unspoken, better] = othersThan(wanted)
      const { client, world } = deceived(seed, [unspoken!, better!, wanted], [better!, wanted], [wanted.tag])
      world.run(() => client.connection.encryptionEstablished)
      client.session.start(small)
      world.run(() => !client.connection.connected, 5_000)
      expect(client.connection.closeError!.code).toBe('QUIC_VERSION_NEGOTIATION_MISMATCH')
      expect(client.session.closedByPeer).toBe(false)
    })

    scenario(`${wanted.label}: a list that holds the version it refuses is a contradiction`, 1, (seed) => {
      const { client, world } = deceived(seed, [wanted], [wanted], [othersThan(wanted)[0]!.tag, wanted.tag])
      world.run(() => !client.connection.connected, 5_000)
      expect(client.connection.closeError!.code).toBe('QUIC_INVALID_VERSION_NEGOTIATION_PACKET')
    })

    scenario(`${wanted.label}: a list that comes after the server's first packet changes nothing`, 1, (seed) => {
      let first: Uint8Array | undefined
      const copy = new DropIf((bytes) => ((first ??= bytes.slice()), false))
      const { client, world } = makePair({ seed, versions: [wanted, othersThan(wanted)[0]!], up: [copy, new Delay(20)] })
      world.run(() => client.connection.encryptionEstablished)
      world.injectTo(client, negotiation(first!, [othersThan(wanted)[0]!.tag]))
      client.session.start(small)
      world.run(() => client.session.done)
      expect(client.connection.version).toBe(wanted)
    })
  }
})
