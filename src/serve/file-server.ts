/**
 * A server of files over QUIC, as the reference program's quic_server, and of its recorded responses.
 */
import type { DatagramEngine } from '../endpoint/datagram-engine.js'
import { QuicServer } from '../endpoint/server.js'
import { sessionOptions } from '../endpoint/transport-options.js'
import type { TransportOptions } from '../endpoint/transport-options.js'
import type { CommonCertificateSets } from '../quic/crypto/common-certificates.js'
import type { ProofSource } from '../quic/crypto/proof.js'
import type { SessionOptions } from '../quic/transport/session.js'
import type { ObserveConnection } from '../quic/transport/observer.js'
import type { SessionConnection } from '../quic/transport/session-connection.js'
import { QuicSpdyServerSession } from '../quic/spdy/spdy-server-session.js'
import type { PeerAddress } from '../quic/types.js'
import type { QuicVersion } from '../quic/wire/versions/version.js'
import { FileRoot } from './file-root.js'
import { looksRecorded, RecordedResponses } from './recorded-responses.js'
import { ServeStream } from './serve-stream.js'
import type { ServeContent, ServeContext, ServedRequest } from './serve-stream.js'

export interface FileServerOptions {
  readonly host: string
  readonly port: number
  readonly root: string
  /** Whether the directory holds recorded responses; undefined finds out. */
  readonly recorded?: boolean
  readonly proofSource: ProofSource
  readonly commonCertificates?: CommonCertificateSets | undefined
  readonly versions?: readonly QuicVersion[]
  readonly transport?: TransportOptions
  onRequest?(request: ServedRequest, connection: SessionConnection): void
  /** Sees what each connection does. */
  readonly observe?: ObserveConnection | undefined
  /** Moves the datagrams; the fastest there is unless given. */
  readonly engine?: DatagramEngine
}

class ServeSession extends QuicSpdyServerSession {
  constructor(
    connection: SessionConnection,
    options: SessionOptions,
    private readonly context: ServeContext
  ) {
    super(connection, options)
  }

  protected override createIncomingDynamicStream(id: number): ServeStream {
    const stream = new ServeStream(id, this)
    stream.context = this.context
    return stream
  }
}

/** A listening file server. */
export class FileServer {
  private constructor(
    private readonly server: QuicServer,
    readonly content: ServeContent
  ) {}

  /**
   * Rejects with ENOENT or ENOTDIR for the root, with a {@link RecordingError} for a malformed recording, and with the
   * system's error if it cannot listen.
   */
  static async start(o: FileServerOptions): Promise<FileServer> {
    const content = await openContent(o.root, o.recorded)
    const transport = o.transport ?? {}
    const limits = sessionOptions('server', transport)
    const server = await QuicServer.listen({
      host: o.host,
      port: o.port,
      proofSource: o.proofSource,
      commonCertificates: o.commonCertificates,
      versions: o.versions,
      transport,
      observe: o.observe,
      engine: o.engine,
      createSession: (connection) =>
        new ServeSession(connection, limits, {
          content,
          onRequest: o.onRequest === undefined ? undefined : (request) => o.onRequest!(request, connection)
        })
    })
    return new FileServer(server, content)
  }

  get address(): PeerAddress {
    return this.server.address
  }

  /** Lets running responses finish for `drainMs`, then closes the connections. */
  close(drainMs: number): Promise<void> {
    return this.server.close({ drainMs })
  }
}

async function openContent(directory: string, recorded: boolean | undefined): Promise<ServeContent> {
  const root = await FileRoot.open(directory)
  if (!(recorded ?? (await looksRecorded(directory)))) return { kind: 'files', root }
  return { kind: 'recorded', responses: await RecordedResponses.load(directory) }
}
