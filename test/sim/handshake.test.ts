import { describe, expect } from 'vitest'
import { QuicErrorCode } from '../../src/quic/errors.js'
import { EncryptionLevel } from '../../src/quic/types.js'
import { supportedVersions, versionByLabel } from '../../src/quic/wire/versions/registry.js'
import { Delay, DropIf, Duplicate, Loss, Reorder } from '../helpers/sim/network.js'
import { connectPair, makePair, runExchanges, scenario } from '../helpers/sim/scenario.js'

const small = { up: 300, down: 3_000, seed: 1 }

describe('mechanism: handshake', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: requests leave after one round trip, and are confirmed after two`, 1, (seed) => {
      const { world, client, serverSession } = connectPair({ seed, versions: [version] })
      expect(world.elapsedMs).toBe(40)
      expect(client.connection.handshakeConfirmed).toBe(false)
      client.session.start(small)
      world.run(() => client.connection.handshakeConfirmed)
      expect(world.elapsedMs).toBe(80)
      world.run(() => client.session.done)
      world.advance(100)
      expect(client.serverSide(world)!.handshakeConfirmed).toBe(true)
      expect(client.connection.sendLevel).toBe(EncryptionLevel.ForwardSecure)
      expect(client.connection.describeHandshake().helloCount).toBe(2)
      expect(serverSession().connection.version).toBe(version)
    })

    scenario(`${version.label}: survives the loss of any one of its first packets, either way`, 1, (seed) => {
      for (let index = 0; index < 6; index++) {
        for (const way of ['up', 'down'] as const) {
          const lossy = [new Delay(20), new DropIf((_bytes, i) => i === index)]
          const { client } = runExchanges({ seed: seed + index, versions: [version], [way]: lossy }, [small], 15_000)
          expect(client.connection.describeHandshake().helloCount).toBeLessThanOrEqual(3)
        }
      }
    })
  }

  scenario('survives 30 % loss, reordering and duplication', 12, (seed) => {
    const bad = (): [Delay, Loss, Reorder, Duplicate] => [
      new Delay(30, 10),
      new Loss(0.3),
      new Reorder(0.3, 60),
      new Duplicate(0.2)
    ]
    const pair = makePair({ seed, up: bad(), down: bad(), handshakeTimeout: 60_000_000 })
    // Some handshakes legitimately run into the idle timeout of 4 s at this rate; none may end in any other way.
    pair.world.run(() => pair.client.connection.handshakeConfirmed || !pair.client.connection.connected, 70_000)
    const error = pair.client.connection.closeError
    if (error !== undefined) expect(error.wireCode).toBe(QuicErrorCode.NETWORK_IDLE_TIMEOUT)
  })

  scenario('gives up after four seconds of silence', 1, (seed) => {
    const { world, client } = makePair({ seed, up: [new DropIf(() => true)] })
    world.run(() => !client.connection.connected, 20_000)
    expect(client.connection.closeError!.code).toBe('QUIC_NETWORK_IDLE_TIMEOUT')
    expect(world.elapsedMs).toBe(4_000)
    expect(client.session.closedByPeer).toBe(false)
    // 150 ms, then doubling; after the third time smaller hellos for another connection, the same way.
    expect(client.datagramsSent).toBeGreaterThanOrEqual(7)
    expect(client.datagramsSent).toBeLessThanOrEqual(10)
  })

  scenario('gives up at its deadline, though the server is there', 1, (seed) => {
    // Every packet with a diversification nonce is lost: the SHLO never comes, what follows it cannot be read.
    const down = [new Delay(20), new DropIf((bytes) => (bytes[0]! & 0x04) !== 0)]
    const versions = [versionByLabel('Q036')!]
    const { world, client } = makePair({ seed, versions, down, handshakeTimeout: 2_000_000 })
    world.run(() => !client.connection.connected, 30_000)
    expect(client.connection.closeError!.code).toBe('QUIC_HANDSHAKE_TIMEOUT')
    expect(client.connection.encryptionEstablished).toBe(true)
    expect(client.connection.handshakeConfirmed).toBe(false)
    expect(world.elapsedMs).toBe(2_000)
  })

  scenario('the server forgets a client that never finishes', 1, (seed) => {
    const { world, client } = makePair({ seed, up: [new Delay(20), new DropIf((_bytes, i) => i > 0)] })
    world.advance(1_000)
    expect(world.dispatcher.connectionCount).toBe(1)
    world.advance(20_000)
    expect(client.connection.connected).toBe(false)
    expect(world.dispatcher.connectionCount).toBe(0)
  })
})
