import { describe, expect } from 'vitest'
import { NodeAeadProvider } from '../../src/quic/crypto/node-aead.js'
import type { AeadProvider, PacketOpener, PacketSealer } from '../../src/quic/crypto/protection.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import { Delay, Duplicate, Loss, Reorder, type NetworkNode } from '../helpers/sim/network.js'
import { runExchanges, scenario } from '../helpers/sim/scenario.js'

const exchange = { up: 30_000, down: 60_000, seed: 1 }

describe('a connection that has come to rest', () => {
  const paths: Record<string, () => NetworkNode[]> = {
    'a clean path': () => [new Delay(20)],
    'a path that loses': () => [new Delay(20), new Loss(0.1)],
    // Copies of handshake packets, and of what followed them, come when their keys are gone.
    'a path with copies that are seconds late': () => [new Delay(20), new Duplicate(0.5), new Reorder(0.2, 2_500)]
  }
  for (const [name, path] of Object.entries(paths)) {
    for (const version of supportedVersions) {
      scenario(`goes on as if nothing had been freed: ${version.label}, ${name}`, 2, (seed) => {
        const { world, client } = runExchanges({ seed, versions: [version], up: path(), down: path() }, [exchange])
        for (const silence of [3_000, 900, 12_000]) {
          world.advance(silence)
          const done = client.session.streams.length
          client.session.start({ ...exchange, seed: seed + silence })
          world.run(() => client.session.done, 60_000)
          expect(client.session.streams.length).toBe(done + 1)
        }
        expect(client.connection.connected).toBe(true)
        expect(client.serverSide(world)!.connected).toBe(true)
      })
    }
  }

  scenario('has its keys free what they keep for traffic, both ways on both sides', 1, (seed) => {
    const freed: string[] = []
    class Watched extends NodeAeadProvider {
      override createSealer(...options: Parameters<AeadProvider['createSealer']>): PacketSealer {
        return watch(super.createSealer(...options), 'sealer')
      }

      override createOpener(...options: Parameters<AeadProvider['createOpener']>): PacketOpener {
        return watch(super.createOpener(...options), 'opener')
      }
    }
    function watch<Key extends PacketSealer | PacketOpener>(key: Key, kind: string): Key {
      const { releaseMemory } = key
      key.releaseMemory = () => {
        freed.push(kind)
        releaseMemory!.call(key)
      }
      return key
    }
    const { world, client } = runExchanges({ seed, aeadProvider: new Watched() }, [exchange])
    expect(freed).toEqual([])
    world.advance(5_000)
    expect(freed.sort()).toEqual(['opener', 'opener', 'sealer', 'sealer'])
    expect(client.connection.connected).toBe(true)
  })

  scenario('wakes up for it once and no more', 1, (seed) => {
    const { world, client } = runExchanges({ seed }, [exchange])
    world.advance(5_000)
    const server = client.serverSide(world)!
    for (const connection of [client.connection, server]) {
      // Only the idle timeout is left to wait for.
      expect(connection.nextTimeout()).toBeGreaterThan(world.now + 10_000_000)
    }
  })
})
