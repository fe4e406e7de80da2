/**
 * Why servers reject hellos: each reason for its cause, by name at both ends, and what the client makes of it.
 */
import { beforeAll, describe, expect } from 'vitest'
import { InsecureProofVerifier, certifiedKeyFromPem, type CertifiedKey } from '../../src/quic/crypto/proof.js'
import { hkdf } from '../../src/quic/crypto/hkdf.js'
import { SecretBox } from '../../src/quic/handshake/server/secret-box.js'
import { SecretSourceAddressTokens } from '../../src/quic/handshake/server/source-address-token.js'
import { HandshakeMessage } from '../../src/quic/wire/handshake-message.js'
import { MessageTag, Tag, rejectReasonName } from '../../src/quic/wire/tags.js'
import { supportedVersions } from '../../src/quic/wire/versions/registry.js'
import type { QuicVersion } from '../../src/quic/wire/versions/version.js'
import { makeCertificate } from '../helpers/certificates.js'
import { badPath, EarlyWorld } from '../helpers/sim/early-world.js'
import { Delay, DropIf } from '../helpers/sim/network.js'
import { scenario } from '../helpers/sim/scenario.js'
import { SimClientSession, type ExchangeOptions } from '../helpers/sim/sim-application.js'
import type { SimWorldOptions } from '../helpers/sim/sim-world.js'

type Client = ReturnType<EarlyWorld['exchange']>
type ClientOptions = NonNullable<Parameters<EarlyWorld['exchange']>[1]>

const get: ExchangeOptions = { up: 0, down: 2_000, seed: 1 }
const post: ExchangeOptions = { up: 4_000, down: 2_000, seed: 2 }
const verifier = new InsecureProofVerifier()

let renewed: CertifiedKey

beforeAll(async () => {
  const leaf = await makeCertificate({ name: 'renewed', hosts: ['www.example.org'], from: '2026-01-01', to: '2036-01-01' })
  renewed = certifiedKeyFromPem(leaf.pem, leaf.keyPem)
})

/** A world, a client that knows its server, and what the client got and sent last. */
class Place {
  readonly world: EarlyWorld

  constructor(
    seed: number,
    readonly version: QuicVersion,
    o: Partial<SimWorldOptions> = {}
  ) {
    this.world = new EarlyWorld(seed, [version], { earlyData: { trustAfterRestart: true }, ...o })
    this.world.exchange(get, { verifier })
  }

  /** What the client knows. */
  get known(): ReturnType<EarlyWorld['cache']['lookup']> {
    return this.world.cache.lookup('www.example.org', 443)
  }

  /** A server nonce of a rejection whose client never came back, and after which nobody asked. */
  strayNonce(): Uint8Array {
    const { world } = this.world
    const sno: Uint8Array[] = []
    const client = world.addClient({
      versions: [this.version],
      verifier,
      up: [new Delay(20), new DropIf((_bytes, index) => index > 0)],
      observe: () => ({
        onHandshakeMessage: (_now, _sent, bytes) => {
          const message = HandshakeMessage.parse(bytes)
          if (message.tag === MessageTag.REJ) sno.push(message.get(Tag.SNO)!)
        }
      }),
      createSession: (connection) => new SimClientSession(connection)
    })
    world.run(() => sno.length > 0)
    world.run(() => !client.connection.connected, 60_000)
    return sno[0]!
  }

  /** Comes again, by a bad path, and gives what the server had against it, as both ends tell it. */
  comeAgain(o: ClientOptions = {}): { client: Client; reasons: readonly string[]; early: string } {
    const before = new Map(this.world.world.handshakes.stats.rejections)
    const requests = this.world.requests
    const client = this.world.exchange(post, { ...badPath(), verifier, ...o })
    expect(this.world.requests - requests).toBe(1)
    const told = client.connection.describeHandshake()
    const server = client.serverSide(this.world.world)!.describeHandshake()
    expect(server.rejections).toEqual(told.rejections)
    const counted = [...this.world.world.handshakes.stats.rejections].flatMap(([reason, count]) =>
      Array<string>(count - (before.get(reason) ?? 0)).fill(rejectReasonName(reason))
    )
    expect(counted.sort()).toEqual(told.rejections.flat().sort())
    client.connection.close(0, 'done')
    return { client, reasons: told.rejections[0] ?? [], early: told.earlyData }
  }
}

/** Edits full hellos that come first: those that hope to be accepted at first sight. */
function firstFull(edit: (chlo: HandshakeMessage) => void): (chlo: HandshakeMessage) => void {
  let seen = false
  return (chlo) => {
    if (seen || !chlo.has(Tag.NONC)) return
    seen = true
    edit(chlo)
  }
}

const tokenLabel = Buffer.from('QUIC source address token key', 'latin1')

/** What brings a full hello each of the reasons: what is done beforehand, and what the client does otherwise. */
const causes: [reason: string, prepare: (place: Place) => ClientOptions | void][] = [
  ['SERVER_CONFIG_INCHOATE_HELLO_FAILURE', ({ known }) => known.clear()],
  ['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE', ({ world }) => world.world.restartServer('new')],
  ['SOURCE_ADDRESS_TOKEN_INVALID_FAILURE', ({ known }) => void (known.sourceAddressToken = new Uint8Array(0))],
  [
    'SOURCE_ADDRESS_TOKEN_DECRYPTION_FAILURE',
    ({ known }) => {
      const damaged = known.sourceAddressToken.slice()
      damaged[20]! ^= 1
      known.sourceAddressToken = damaged
    }
  ],
  [
    'SOURCE_ADDRESS_TOKEN_PARSE_FAILURE',
    ({ known, world }) => {
      const { secret } = world.world.secrets.tokenSecrets[0]!
      const random = (length: number): Uint8Array => world.world.random.bytes(length)
      const box = new SecretBox(hkdf(secret, new Uint8Array(0), [tokenLabel], 16), random)
      known.sourceAddressToken = box.seal(Buffer.from('no list of addresses'))
    }
  ],
  [
    'SOURCE_ADDRESS_TOKEN_DIFFERENT_IP_ADDRESS_FAILURE',
    ({ world }) => void (world.world.rewriteSource = (from) => ({ ...from, address: '192.0.2.99' }))
  ],
  [
    'SOURCE_ADDRESS_TOKEN_CLOCK_SKEW_FAILURE',
    ({ known, world }) => {
      // Another server that has the secrets, two hours ahead.
      const random = (length: number): Uint8Array => world.world.random.bytes(length)
      const tokens = new SecretSourceAddressTokens(world.world.secrets.tokenSecrets[0]!.secret, random)
      known.sourceAddressToken = tokens.issue('203.0.113.1', world.world.wallSeconds() + 7_200)
    }
  ],
  ['SOURCE_ADDRESS_TOKEN_EXPIRED_FAILURE', ({ world }) => world.world.advance(25 * 3_600_000)],
  [
    'INVALID_EXPECTED_LEAF_CERTIFICATE',
    ({ world }) => {
      world.world.show([renewed])
      world.world.restartServer('kept')
    }
  ],
  [
    'CLIENT_NONCE_INVALID_FAILURE',
    () => ({ editHello: firstFull((chlo) => chlo.set(Tag.NONC, chlo.get(Tag.NONC)!.subarray(0, 31))) })
  ],
  ['SERVER_NONCE_DECRYPTION_FAILURE', ({ known }) => known.addServerNonce(new Uint8Array(48).fill(7))],
  ['SERVER_NONCE_INVALID_TIME_FAILURE', (place) => {
    const nonce = place.strayNonce()
    place.world.world.advance(121_000)
    place.known.addServerNonce(nonce)
  }],
  ['SERVER_NONCE_NOT_UNIQUE_FAILURE', (place) => {
    const nonce = place.strayNonce()
    place.known.addServerNonce(nonce)
    expect(place.comeAgain().reasons).toEqual([])
    place.known.addServerNonce(nonce)
  }]
]

/** Those that only a hello at first sight can have: where such are accepted. */
const causesOfNonces: typeof causes = [
  [
    'CLIENT_NONCE_INVALID_ORBIT_FAILURE',
    () => ({ editHello: firstFull((chlo) => chlo.set(Tag.NONC, Buffer.from(chlo.get(Tag.NONC)!).fill(1, 4, 12))) })
  ],
  ['CLIENT_NONCE_INVALID_TIME_FAILURE', () => ({ clockAhead: 700 })],
  ['CLIENT_NONCE_INVALID_TIME_FAILURE', () => ({ clockAhead: -700 })],
  ['CLIENT_NONCE_NOT_UNIQUE_FAILURE', (place) => {
    let nonce: Uint8Array | undefined
    place.comeAgain({ editHello: firstFull((chlo) => (nonce = chlo.get(Tag.NONC)!.slice())) })
    return { editHello: firstFull((chlo) => chlo.set(Tag.NONC, nonce!)) }
  }]
]

describe('mechanism: reject reasons', () => {
  for (const version of supportedVersions) {
    const early = version.traits.diversification
    scenario(`${version.label}: each comes for its cause, is known by name at both ends, and lets the client in after it`, 1, (seed) => {
      const place = new Place(seed, version)
      for (const [reason, prepare] of [...causes, ...(early ? causesOfNonces : [])]) {
        const { reasons, early: became } = place.comeAgain(prepare(place) ?? {})
        place.world.world.rewriteSource = (from) => from
        expect(reasons).toEqual([reason])
        // Only hellos that went ahead of a round trip, without a server nonce, had something to lose.
        const offered = reason !== 'SERVER_CONFIG_INCHOATE_HELLO_FAILURE' && !reason.startsWith('SERVER_NONCE')
        expect(became, reason).toBe(offered ? 'rejected' : 'none')
      }
    })

    scenario(`${version.label}: several at once are all told`, 1, (seed) => {
      const place = new Place(seed, version)
      place.known.sourceAddressToken = new Uint8Array(0)
      place.world.world.show([renewed])
      place.world.world.restartServer('kept')
      const editHello = firstFull((chlo) => chlo.set(Tag.NONC, new Uint8Array(33)))
      expect(place.comeAgain({ editHello }).reasons).toEqual([
        'SOURCE_ADDRESS_TOKEN_INVALID_FAILURE',
        'INVALID_EXPECTED_LEAF_CERTIFICATE',
        'CLIENT_NONCE_INVALID_FAILURE'
      ])
    })
  }
})

describe('mechanism: early data policy', () => {
  const required = [['SERVER_NONCE_REQUIRED_FAILURE']]

  for (const version of supportedVersions) {
    const early = version.traits.diversification
    scenario(`${version.label}: always and once accept hellos at first sight, never makes them wait`, 1, (seed) => {
      for (const accept of ['once', 'always', 'never'] as const) {
        const place = new Place(seed, version, { earlyData: { accept } })
        const { stats } = place.world.world.handshakes
        const { client, early: became } = place.comeAgain()
        const accepted = early && accept !== 'never'
        expect(became).toBe(accepted ? 'accepted' : 'rejected')
        expect(client.connection.describeHandshake().rejections).toEqual(accepted ? [] : required)
        expect([stats.earlyAccepted, stats.earlyRejected]).toEqual(accepted ? [1, 0] : [0, 1])
      }
    })

    scenario(`${version.label}: always asks for nothing that a register would need`, 1, (seed) => {
      const place = new Place(seed, version, { earlyData: { accept: 'always' } })
      // Neither a right clock, nor the time that a register waits after a restart, nor a nonce of its own.
      let nonce: Uint8Array | undefined
      const keep = firstFull((chlo) => (nonce ??= chlo.get(Tag.NONC)!.slice()))
      const outcomes = [
        place.comeAgain({ clockAhead: 5_000, editHello: keep }).early,
        (place.world.world.restartServer('kept'), place.comeAgain().early)
      ]
      expect(outcomes).toEqual(Array(2).fill(early ? 'accepted' : 'rejected'))
      expect(nonce).toHaveLength(32)
    })
  }
})

describe('mechanism: stateless reject: where the server keeps them off', () => {
  const transport = { connectionOptions: ['SREJ'] }

  for (const version of supportedVersions) {
    scenario(`${version.label}: clients that ask get a rejection on their connection`, 1, (seed) => {
      const place = new Place(seed, version, { statelessRejects: false })
      place.world.world.restartServer('new')
      const { client, reasons } = place.comeAgain({ transport })
      expect(reasons).toEqual(['SERVER_CONFIG_UNKNOWN_CONFIG_FAILURE'])
      expect(client.connection.describeHandshake().helloCount).toBe(2)
      expect(place.world.world.dispatcher.stats.statelessRejects).toBe(0)
    })
  }
})
