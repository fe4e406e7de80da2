/** What hellos may carry besides keys: sets of certificates that both ends have. */
import { describe, expect } from 'vitest'
import { CommonCertificateSet, CommonCertificateSets } from '../../src/quic/crypto/common-certificates.js'
import { InsecureProofVerifier } from '../../src/quic/crypto/proof.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { recordedKey } from '../helpers/handshake-fixture.js'
import { EarlyWorld, rough, story } from '../helpers/sim/early-world.js'
import { scenario } from '../helpers/sim/scenario.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'
import type { ExchangeOptions } from '../helpers/sim/sim-application.js'

const get: ExchangeOptions = { up: 0, down: 3_000, seed: 1 }

describe('mechanism: common certificate sets', () => {
  const real = recordedKey('chromium56-v36-get-1k')
  const [large, strange] = [new SeededRandom(1).bytes(4_000), new SeededRandom(2).bytes(700)]
  const chain = [...real.chain, large]
  const certificates = [{ chain, sign: (data: Uint8Array) => real.sign(data) }]
  const sets = new CommonCertificateSets([
    new CommonCertificateSet([strange]),
    new CommonCertificateSet([strange, ...chain.slice(1)])
  ])
  const verifier = new InsecureProofVerifier()

  type Client = ReturnType<EarlyWorld['exchange']>

  /** A first connection, which learns the whole chain. */
  const learn = (version: QuicVersion, seed: number, servers?: CommonCertificateSets, clients?: object): Client => {
    const world = new EarlyWorld(seed, [version], { certificates, commonCertificates: servers })
    const client = world.exchange(get, { verifier, ...clients })
    const seen = client.connection.describeHandshake().certificates.map((der) => Buffer.from(der))
    expect(seen).toEqual(chain.map((der) => Buffer.from(der)))
    expect(world.requests).toBe(1)
    return client
  }

  for (const version of supportedVersions) {
    scenario(`${version.label}: what both ends have is not sent, and its proof needs no token`, 1, (seed) => {
      const named = learn(version, seed, sets, { commonCertificates: sets })
      const sent = learn(version, seed, sets)
      expect(sent.bytesReceived - named.bytesReceived).toBeGreaterThan(4_000)
      expect([named, sent].map((client) => client.connection.describeHandshake().helloCount)).toEqual([2, 3])
    })

    scenario(`${version.label}: ends that have different sets go on without, under loss as well`, 1, (seed) => {
      const path = (): object => ({ up: rough(), down: rough(), handshakeTimeout: 60_000_000 })
      const fewer = new CommonCertificateSets(sets.sets.slice(0, 1))
      learn(version, seed, undefined, { ...path(), commonCertificates: sets })
      learn(version, seed, fewer, { ...path(), commonCertificates: sets })
      learn(version, seed, sets, { ...path(), commonCertificates: fewer })
      learn(version, seed, sets, { ...path(), commonCertificates: sets })
    })

    scenario(`${version.label}: what a client learned holds when it has no sets any more`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { certificates, commonCertificates: sets })
      world.exchange(get, { verifier, commonCertificates: sets })
      world.world.restartServer('new')
      const again = story(world.exchange(get, { verifier }))
      expect(again).toMatchObject({ rejections: [['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE']] })
    })
  }
})
