/**
 * How servers prove themselves: with which certificate, how much of its chain crosses the path, in how many round trips,
 * and what becomes of proofs that do not hold.
 */
import { beforeAll, describe, expect } from 'vitest'
import { compressChain } from '../../src/quic/crypto/cert-compressor.js'
import { CaProofVerifier, InsecureProofVerifier, certifiedKeyFromPem, type CertifiedKey } from '../../src/quic/crypto/proof.js'
import { QuicError } from '../../src/quic/errors.js'
import { ClientSessionCache } from '../../src/quic/handshake/client/session-cache.js'
import { HandshakeMessage } from '../../src/quic/wire/handshake-message.js'
import { MessageTag, Tag } from '../../src/quic/wire/tags.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { makeAuthority, makeCertificate, type TestCertificate } from '../helpers/certificates.js'
import { recordedKey } from '../helpers/handshake-fixture.js'
import { badPath, EarlyWorld, story } from '../helpers/sim/early-world.js'
import { scenario } from '../helpers/sim/scenario.js'
import { SeededRandom } from '../helpers/sim/seeded-random.js'
import type { ExchangeOptions } from '../helpers/sim/sim-application.js'

type Client = ReturnType<EarlyWorld['exchange']>
type ClientOptions = NonNullable<Parameters<EarlyWorld['exchange']>[1]>

const get: ExchangeOptions = { up: 0, down: 3_000, seed: 1 }
const post: ExchangeOptions = { up: 5_000, down: 3_000, seed: 2 }
const life = { from: '2026-01-01', to: '2036-01-01' }
const anyone = new InsecureProofVerifier()
const plain = (chain: readonly Uint8Array[]): Buffer[] => chain.map((der) => Buffer.from(der))

let authority: TestCertificate
let trusting: CaProofVerifier
let exact: CertifiedKey
let renewed: CertifiedKey
let wildcard: CertifiedKey
let first: CertifiedKey

async function issue(...hosts: string[]): Promise<CertifiedKey> {
  const leaf = await makeCertificate({ ...life, name: hosts[0]!, hosts, issuer: authority })
  return certifiedKeyFromPem(leaf.pem + authority.pem, leaf.keyPem, Buffer.from(`timestamps of ${hosts[0]}`))
}

beforeAll(async () => {
  authority = await makeAuthority('Authority', life)
  trusting = new CaProofVerifier({ ca: [authority.pem] })
  exact = await issue('www.example.org')
  renewed = await issue('www.example.org')
  wildcard = await issue('*.example.org')
  first = await issue('first.example')
})

/** The chain that a client was shown. */
const shownTo = (client: Client): Buffer[] => plain(client.connection.describeHandshake().certificates)

/** Sees the rejections that a client gets, and how many bytes it had received when each of them was complete. */
class Rejections {
  readonly seen: { message: HandshakeMessage; received: number }[] = []
  private received = 0

  readonly options: ClientOptions = {
    observe: () => ({
      onPacketReceived: (_now, { length }) => (this.received += length),
      onHandshakeMessage: (_now, sent, bytes) => {
        const message = HandshakeMessage.parse(bytes)
        if (!sent && message.tag === MessageTag.REJ) this.seen.push({ message, received: this.received })
      }
    })
  }

  get chains(): (Uint8Array | undefined)[] {
    return this.seen.map(({ message }) => message.get(Tag.CRT))
  }
}

/** How a client and its server end that cannot agree; nothing of a request arrives. */
function refusal(world: EarlyWorld, o: ClientOptions): { error: QuicError; atServer: string | undefined; toldByPeer: boolean } {
  let error: unknown
  try {
    world.begin(get, o)
  } catch (thrown) {
    error = thrown
  }
  expect(error).toBeInstanceOf(QuicError)
  world.world.advance(10_000)
  expect(world.requests).toBe(0)
  const { closeError, closedByPeer } = world.sessions.at(-1)!
  return { error: error as QuicError, atServer: closeError?.code, toldByPeer: closedByPeer }
}

describe('mechanism: certificate selection', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: the name that a client asks for decides, by whatever path it comes`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { certificates: [first, wildcard, exact] })
      const cases: [string, CertifiedKey][] = [
        ['www.example.org', exact],
        ['api.example.org', wildcard],
        ['unknown.test', first],
        ['198.51.100.1', first]
      ]
      for (const [serverName, expected] of cases) {
        const client = world.exchange(post, { ...badPath(), serverName, verifier: anyone })
        expect(shownTo(client), serverName).toEqual(plain(expected.chain))
        const named = client.connection.describeHandshake().serverName
        expect(named).toBe(expected === first && serverName.startsWith('198') ? undefined : serverName)
        expect(client.serverSide(world.world)!.describeHandshake().serverName).toBe(named)
      }
      expect(world.requests).toBe(cases.length)
      // Each name has its own proof, which the next connection begins with.
      const again = world.exchange(get, { serverName: 'api.example.org', verifier: trusting })
      expect(again.connection.describeHandshake().earlyData).toBe(version.traits.diversification ? 'accepted' : 'rejected')
      expect(shownTo(again)).toEqual(plain(wildcard.chain))
    })
  }
})

describe('mechanism: cached certificates', () => {
  const ballast = new SeededRandom(3).bytes(2_500)
  const withBallast = (key: CertifiedKey): CertifiedKey => ({
    chain: [...key.chain, ballast],
    sign: (data) => key.sign(data)
  })

  for (const version of supportedVersions) {
    scenario(`${version.label}: what a client holds of a chain is named, not sent again`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { certificates: [withBallast(exact)] })
      const rejections = new Rejections()
      const learn = (): Client => world.exchange(post, { verifier: anyone, ...badPath(), ...rejections.options })
      learn()
      // The same chain from a server that the client does not know, then another leaf below the same authority.
      world.world.restartServer('new')
      expect(shownTo(learn())).toEqual(plain([...exact.chain, ballast]))
      world.world.show([withBallast(renewed)])
      world.world.restartServer('new')
      expect(shownTo(learn())).toEqual(plain([...renewed.chain, ballast]))
      expect(world.requests).toBe(3)
      const [whole, same, leaf] = rejections.chains.filter((chain) => chain !== undefined) as [Uint8Array, Uint8Array, Uint8Array]
      expect(whole.length).toBeGreaterThan(ballast.length)
      // Three entries of a type and a hash each, and the end mark.
      expect(same).toHaveLength(3 * 9 + 1)
      expect([same[0], same[9], same[18]]).toEqual([2, 2, 2])
      expect([leaf[0], leaf[1], leaf[10]]).toEqual([1, 2, 2])
      expect(leaf.length).toBeLessThan(700)
    })
  }
})

describe('mechanism: expected leaf certificate', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: a renewed certificate is not taken for the one before, and costs one round trip`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { certificates: [exact], earlyData: { trustAfterRestart: true } })
      world.exchange(get, { verifier: trusting })
      world.world.show([renewed])
      world.world.restartServer('kept')
      const client = world.exchange(post, { verifier: trusting, ...badPath() })
      expect(client.connection.describeHandshake()).toMatchObject({
        earlyData: 'rejected',
        rejections: [['INVALID_EXPECTED_LEAF_CERTIFICATE']]
      })
      expect(shownTo(client)).toEqual(plain(renewed.chain))
      expect(world.requests).toBe(2)
      const again = story(world.exchange(get, { verifier: trusting }))
      expect(again).toMatchObject({ earlyData: version.traits.diversification ? 'accepted' : 'rejected' })
    })
  }
})

describe('mechanism: certificate timestamps', () => {
  for (const version of supportedVersions) {
    scenario(`${version.label}: reach clients that ask as the server has them, and no others`, 1, (seed) => {
      const world = new EarlyWorld(seed, [version], { certificates: [exact] })
      const told = ({ connection }: Client): string | undefined => {
        const { timestamps } = connection.describeHandshake()
        return timestamps && Buffer.from(timestamps).toString()
      }
      expect(told(world.exchange(get, { ...badPath(), verifier: trusting }))).toBe('timestamps of www.example.org')
      // What a later connection knows, it knows from the one before.
      expect(told(world.exchange(get, { verifier: trusting }))).toBe('timestamps of www.example.org')
      // Those that ask do it by an empty value.
      for (const value of [undefined, Uint8Array.of(1)]) {
        const editHello = (chlo: HandshakeMessage): void => {
          if (chlo.has(Tag.NONC)) return
          if (value === undefined) chlo.delete(Tag.CSCT)
          else chlo.set(Tag.CSCT, value)
        }
        const sessionCache = new ClientSessionCache()
        expect(told(world.exchange(get, { verifier: anyone, sessionCache, editHello }))).toBeUndefined()
      }
    })
  }
})

describe('mechanism: oversized chains', () => {
  const real = recordedKey('chromium56-v36-get-1k')
  const RSA_SIGNATURE = 256

  /** A chain whose proof has exactly this many bytes. */
  const proofOf = (size: number): CertifiedKey => {
    for (let seed = 1; ; seed++) {
      const ballast = new SeededRandom(seed).bytes(size)
      const sized = (length: number): Uint8Array[] => [...real.chain, ballast.subarray(0, length)]
      let length = size - RSA_SIGNATURE - compressChain(sized(0)).length
      for (let tries = 0; tries < 10; tries++) {
        const chain = sized(length)
        const over = compressChain(chain).length + RSA_SIGNATURE - size
        if (over === 0) return { chain, sign: (data) => real.sign(data) }
        length -= over
      }
    }
  }
  // Three times what a packet of 1350 bytes holds of a hello, without what is around the proof.
  const limitOf = (version: QuicVersion): number => 3 * (1_350 - (version.traits.entropy ? 50 : 49)) - 166
  const fitting = new Map<number, CertifiedKey>()
  const keyOf = (size: number): CertifiedKey => {
    const known = fitting.get(size) ?? proofOf(size)
    fitting.set(size, known)
    return known
  }

  for (const version of supportedVersions) {
    scenario(`${version.label}: come whole if small next to the hello, else to an address that is proven`, 1, (seed) => {
      const limit = limitOf(version)
      for (const [size, hellos] of [[limit - 1, 2], [limit, 3]] as const) {
        const world = new EarlyWorld(seed, [version], { certificates: [keyOf(size)] })
        const rejections = new Rejections()
        const client = world.exchange(get, { verifier: anyone, ...rejections.options })
        expect(client.connection.describeHandshake().helloCount).toBe(hellos)
        expect(rejections.chains.map((chain) => chain !== undefined)).toEqual(hellos === 2 ? [true] : [false, true])
        // Nobody can have a server send much more to a stranger than he sent himself.
        expect(rejections.seen[0]!.received).toBeLessThanOrEqual(hellos === 2 ? 4.5 * 1_350 : 1_350)
        expect(rejections.seen.every(({ message }) => message.has(Tag.STK) && message.has(Tag.SCFG))).toBe(true)
      }
    })

    scenario(`${version.label}: of many packets survive loss, reordering and duplication`, 1, (seed) => {
      const chain = [...real.chain, new SeededRandom(seed).bytes(18_000)]
      const key = { chain, sign: (data: Uint8Array) => real.sign(data) }
      const world = new EarlyWorld(seed, [version], { certificates: [key] })
      const client = world.exchange(post, { verifier: anyone, ...badPath() })
      expect(story(client)).toMatchObject({ rejections: Array(2).fill(['SERVER_CONFIG_INCHOATE_HELLO_FAILURE']) })
      expect(shownTo(client)).toEqual(plain(chain))
      expect(world.requests).toBe(1)
    })
  }
})

describe('mechanism: proof verification', () => {
  let expired: CertifiedKey
  let stranger: CertifiedKey

  beforeAll(async () => {
    const old = { from: '2020-01-01', to: '2021-01-01', hosts: ['www.example.org'] }
    const past = await makeCertificate({ ...old, name: 'old', issuer: authority })
    expired = certifiedKeyFromPem(past.pem + authority.pem, past.keyPem)
    const other = await makeAuthority('Stranger', life)
    const leaf = await makeCertificate({ ...life, name: 'www', hosts: ['www.example.org'], issuer: other })
    stranger = certifiedKeyFromPem(leaf.pem + other.pem, leaf.keyPem)
  })

  for (const version of supportedVersions) {
    scenario(`${version.label}: a client sends nothing to whom it does not believe, and says why it leaves`, 1, (seed) => {
      const impostor: CertifiedKey = { chain: exact.chain, sign: (data) => renewed.sign(data) }
      const cases: [CertifiedKey, RegExp][] = [
        [first, /certificate is for first\.example, not www\.example\.org/],
        [stranger, /Stranger/],
        [expired, /expired|ended|2021/],
        [impostor, /signature is wrong/]
      ]
      for (const [key, why] of cases) {
        const world = new EarlyWorld(seed, [version], { certificates: [key] })
        const { error, ...server } = refusal(world, { verifier: trusting })
        expect(error.code).toBe('QUIC_PROOF_INVALID')
        expect(error.message).toMatch(why)
        expect(server).toEqual({ atServer: 'QUIC_PROOF_INVALID', toldByPeer: true })
        // Nothing of it is believed by the next connection either.
        expect(refusal(world, { verifier: trusting }).error.code).toBe('QUIC_PROOF_INVALID')
      }
    })

    scenario(`${version.label}: on a bad path as well`, 2, (seed) => {
      const world = new EarlyWorld(seed, [version], { certificates: [first] })
      const { error } = refusal(world, { verifier: trusting, ...badPath() })
      expect(error.code).toBe('QUIC_PROOF_INVALID')
    })
  }
})
