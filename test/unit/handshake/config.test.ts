import { describe, expect, it } from 'vitest'
import { QuicErrorCode } from '../../../src/quic/errors.js'
import {
  defaultClientConfig,
  defaultServerConfig,
  processClientConfig,
  processServerConfig,
  writeClientConfig,
  writeServerConfig
} from '../../../src/quic/handshake/config.js'
import type { QuicConfigProposal } from '../../../src/quic/handshake/config.js'
import { HandshakeMessage } from '../../../src/quic/wire/handshake-message.js'
import { Tag } from '../../../src/quic/wire/tags.js'
import { codeOf } from '../../helpers/handshake-fixture.js'

function chlo(change: Partial<QuicConfigProposal> = {}): HandshakeMessage {
  const hello = new HandshakeMessage('CHLO')
  writeClientConfig(hello, { ...defaultClientConfig, ...change })
  return HandshakeMessage.parse(hello.serialize())
}

function shlo(change: Partial<QuicConfigProposal>, answering: HandshakeMessage): HandshakeMessage {
  const own = { ...defaultServerConfig, ...change }
  const hello = new HandshakeMessage('SHLO')
  writeServerConfig(hello, own, processClientConfig(answering, own))
  return HandshakeMessage.parse(hello.serialize())
}

describe('config negotiation', () => {
  it('takes the smaller of both proposals, and each side states its own windows', () => {
    const offer = chlo({ idleTimeoutSeconds: 30, maxStreamsPerConnection: 70, maxIncomingStreams: 5 })
    const atServer = processClientConfig(offer, { ...defaultServerConfig, silentClose: false })
    expect(atServer).toEqual({
      idleTimeoutSeconds: 30,
      silentClose: false,
      maxStreamsPerConnection: 70,
      peerMaxIncomingStreams: 5,
      peerStreamWindow: 6 * 1024 * 1024,
      peerConnectionWindow: 15 * 1024 * 1024,
      initialRtt: undefined,
      omitConnectionId: false,
      connectionOptions: [],
      disableMigration: false,
      forceHolBlocking: false
    })
    const answer = shlo({ idleTimeoutSeconds: 20, maxIncomingStreams: 9 }, offer)
    const atClient = processServerConfig(answer, { ...defaultClientConfig, idleTimeoutSeconds: 30 })
    expect(atClient).toMatchObject({
      idleTimeoutSeconds: 20,
      silentClose: true,
      maxStreamsPerConnection: 70,
      peerMaxIncomingStreams: 9,
      peerStreamWindow: 64 * 1024,
      peerConnectionWindow: 1024 * 1024
    })
  })

  it('carries the optional values', () => {
    const offer = chlo({
      connectionOptions: ['NSTP', '5RTO'],
      initialRtt: 50_000,
      socketReceiveBuffer: 1_000_000,
      omitConnectionId: true,
      disableMigration: true,
      forceHolBlocking: true
    })
    expect(offer.uint32(Tag.NCMR)).toBe(1)
    expect(processClientConfig(offer, defaultServerConfig)).toMatchObject({
      connectionOptions: ['NSTP', '5RTO'],
      initialRtt: 50_000,
      peerSocketReceiveBuffer: 1_000_000,
      disableMigration: true,
      omitConnectionId: true,
      forceHolBlocking: true
    })
    const atClient = processServerConfig(shlo({}, offer), { ...defaultClientConfig, forceHolBlocking: true })
    expect(atClient.forceHolBlocking).toBe(true)
  })

  it('has defaults for everything but the idle timeout', () => {
    const hello = new HandshakeMessage('CHLO').setUint32(Tag.ICSL, 30)
    expect(processClientConfig(hello, defaultServerConfig)).toMatchObject({
      silentClose: false,
      maxStreamsPerConnection: 100,
      peerMaxIncomingStreams: undefined,
      peerStreamWindow: 16 * 1024,
      peerConnectionWindow: 16 * 1024
    })
    const few = { ...defaultClientConfig, maxStreamsPerConnection: 10 }
    expect(processServerConfig(hello, few).maxStreamsPerConnection).toBe(10)
  })

  it('refuses what breaks the rules, with the code of each rule', () => {
    const cases: [(hello: HandshakeMessage) => void, number][] = [
      [(hello) => hello.delete(Tag.ICSL), QuicErrorCode.CRYPTO_MESSAGE_PARAMETER_NOT_FOUND],
      [(hello) => hello.setUint64(Tag.ICSL, 30), QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER],
      [(hello) => hello.set(Tag.MIDS, new Uint8Array(3)), QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER],
      [(hello) => hello.set(Tag.COPT, new Uint8Array(5)), QuicErrorCode.INVALID_CRYPTO_MESSAGE_PARAMETER],
      [(hello) => hello.setUint32(Tag.SFCW, 16383), QuicErrorCode.FLOW_CONTROL_INVALID_WINDOW],
      [(hello) => hello.setUint32(Tag.CFCW, 0), QuicErrorCode.FLOW_CONTROL_INVALID_WINDOW]
    ]
    for (const [change, code] of cases) {
      const hello = chlo()
      change(hello)
      expect(codeOf(() => processClientConfig(hello, defaultServerConfig))).toBe(code)
      expect(codeOf(() => processServerConfig(hello, defaultClientConfig))).toBe(code)
    }
  })

  it('lets a client ask for more than a server has, and a server not answer with more than was asked', () => {
    for (const tag of [Tag.ICSL, Tag.SCLS, Tag.MSPC]) {
      const hello = chlo().setUint32(tag, 601)
      expect(codeOf(() => processClientConfig(hello, defaultServerConfig))).toBeUndefined()
      expect(codeOf(() => processServerConfig(hello, defaultClientConfig))).toBe(QuicErrorCode.INVALID_NEGOTIATED_VALUE)
    }
  })
})
