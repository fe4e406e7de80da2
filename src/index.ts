/**
 * The library: what a program of one's own builds on. Servers and clients that speak HTTP extend the SPDY classes; those
 * that do not extend QuicSession and QuicStream.
 */
export { QuicServer, type QuicServerOptions, type ServerEvent, type SocketShare } from './endpoint/server.js'
export { SecretsKeeper, type SecretsKeeperOptions } from './endpoint/secrets-keeper.js'
export { rotateSecrets, type SecretsPolicy, type ServerSecrets, type TokenSecret } from './endpoint/server-secrets.js'
export { FileSessionCache, type FileSessionCacheOptions } from './endpoint/session-cache.js'
export { ClientSessionCache } from './quic/handshake/client/session-cache.js'
export type { EarlyData, HandshakeDescription } from './quic/handshake/handshake.js'
export type { EarlyDataPolicy } from './quic/handshake/server/server-handshakes.js'
export { QuicClient, type ClientClosed, type QuicClientOptions } from './endpoint/client.js'
export { sessionOptions, type TransportOptions } from './endpoint/transport-options.js'
export {
  RECEIVE_BUDGET,
  type DatagramEngine,
  type DatagramHandler,
  type DatagramSocket,
  type ReusePort,
  type SocketGroup,
  type SocketGroupOptions,
  type SocketOptions,
  socketOf
} from './endpoint/datagram-engine.js'
export { NodeEngine } from './endpoint/engines/node-engine.js'
export { NativeEngine, type NativeEngineOptions } from './endpoint/engines/native-engine.js'
export { chooseEngine, defaultEngine, EngineError, type EngineName } from './endpoint/engines/select-engine.js'
export { EndpointDriver } from './endpoint/driver.js'
export { systemHelper, type EndpointHelper } from './endpoint/system.js'
export { loadCommonCertificates } from './config/common-certificates.js'
export { loadCaFile, systemTrust } from './endpoint/trust-store.js'

export { QuicSession } from './quic/transport/session.js'
export { QuicStream } from './quic/transport/streams/quic-stream.js'
export { StreamUnavailableError, type StreamUnavailableCode } from './quic/transport/streams/stream-unavailable.js'
export { QuicStreamSequencer } from './quic/transport/streams/sequencer.js'
export type { SessionConnection } from './quic/transport/session-connection.js'
export { clientSessionDefaults, serverSessionDefaults, type SessionOptions } from './quic/transport/session-options.js'
export { QuicConnection, type ConnectionStats, type QuicConnectionOptions } from './quic/transport/connection.js'
export {
  combineObservers,
  ObservedPacket,
  type ConnectionObserver,
  type ObserveConnection,
  type ObservedConnection,
  type ObservedState,
  type PacketDropReason,
  type RecoveryMetrics
} from './quic/transport/observer.js'
export type { LevelKeys } from './quic/handshake/level-keys.js'
export { QuicDispatcher, type DispatcherStats, type QuicDispatcherOptions } from './quic/transport/dispatcher.js'
export { DatagramBatch } from './quic/transport/datagram-batch.js'
export { TRANSMIT_BUFFER_SIZE, type LateSealer, type QuicEndpoint, type Transmit } from './quic/transport/transmit.js'

export { QuicSpdySession, type PushPolicy, type SpdySessionOptions } from './quic/spdy/spdy-session.js'
export { QuicSpdyClientSession } from './quic/spdy/spdy-client-session.js'
export { QuicSpdyServerSession } from './quic/spdy/spdy-server-session.js'
export { QuicSpdyStream } from './quic/spdy/spdy-stream.js'
export { QuicHeadersStream } from './quic/spdy/headers-stream.js'
export type { PromisedResource } from './quic/spdy/push/promise-headers.js'
export { PushClaim, type PushClaimResult, type PushPromise } from './quic/spdy/push/promise-index.js'
export type { HeaderField, HeaderList } from './quic/spdy/header-list.js'

export {
  CaProofVerifier,
  CertificateError,
  InsecureProofVerifier,
  StaticProofSource,
  certifiedKeyFromPem,
  type CertifiedKey,
  type ProofParameters,
  type ProofSource,
  type ProofVerifier
} from './quic/crypto/proof.js'
export { CommonCertificateSet, CommonCertificateSets } from './quic/crypto/common-certificates.js'
export { EcChannelIdKey, channelIdName, type ChannelIdKey, type ChannelIdSource } from './quic/crypto/channel-id.js'
export { NodeAeadProvider } from './quic/crypto/node-aead.js'
export type { CryptoPrimitives, GcmBox, X25519Key } from './quic/crypto/primitives.js'
export type { AeadProvider } from './quic/crypto/protection.js'
export { ServerConfig, type SavedServerConfig } from './quic/handshake/server/server-config.js'
export { ConnectionId } from './quic/connection-id.js'
export { QuicError, QuicErrorCode, QuicRstStreamErrorCode, quicErrorName, quicRstErrorName } from './quic/errors.js'
export { EncryptionLevel, Perspective, sameAddress, type Micros, type PeerAddress, type QuicHelper } from './quic/types.js'
export { supportedVersions, versionByLabel, versionByTag } from './quic/wire/versions/registry.js'
export type { QuicVersion } from './quic/wire/versions/version.js'
