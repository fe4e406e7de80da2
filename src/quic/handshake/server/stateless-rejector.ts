/**
 * Rejections without a connection: a client that said so (COPT SREJ) is told to come back under another connection id
 * with what the rejection brings, and the server keeps nothing but the answer (stateless_rejector.cc).
 */
import type { QuicHelper } from '../../types.js'
import { HandshakeMessage } from '../../wire/handshake-message.js'
import { Tag, tagOf } from '../../wire/tags.js'
import type { ClientHelloContext, ServerHandshakeSecrets } from './client-hello-check.js'
import { checkClientHello } from './client-hello-check.js'
import { buildRejection } from './rejection.js'

const CONNECTION_ID_LENGTH = 8
const SREJ_OPTION = tagOf('SREJ')
/** With 128 servers on one address, fewer than one client in a thousand finds none and gets a connection. */
const MAX_ID_TRIES = 1000
/** What a client takes on its crypto stream before it has told its window, bytes. */
const MAX_REJECTION = 16 * 1024

/** Decides about first hellos. One a server. */
export class StatelessRejector {
  /** @param mayRetryAs whether a connection with this id would reach this server; any would if missing */
  constructor(
    private readonly secrets: ServerHandshakeSecrets,
    private readonly mayRetryAs: (connectionId: Uint8Array) => boolean = () => true
  ) {}

  /**
   * The SREJ that answers a hello. Undefined if a connection is to deal with it: the hello can be accepted, breaks the
   * rules, or is of a client that does not know how to come back.
   *
   * @param chlo the whole message
   */
  reject(chlo: Uint8Array, context: ClientHelloContext): Uint8Array | undefined {
    try {
      const hello = HandshakeMessage.parse(chlo)
      if (hello.uint32List(Tag.COPT)?.includes(SREJ_OPTION) !== true) return undefined
      const checked = checkClientHello(hello, context, this.secrets, false)
      if (checked.config !== undefined && checked.reasons.length === 0) return undefined
      const retryId = this.chooseId(context.helper)
      if (retryId === undefined) return undefined
      const rejection = buildRejection(hello, checked, context, this.secrets, retryId).serialize()
      if (rejection.length > MAX_REJECTION) return undefined
      this.secrets.stats?.onRejected(checked.reasons, false)
      return rejection
    } catch {
      // A connection finds the same fault again, and tells the client.
      return undefined
    }
  }

  private chooseId(helper: QuicHelper): Uint8Array | undefined {
    for (let tries = 0; tries < MAX_ID_TRIES; tries++) {
      const id = helper.randomBytes(CONNECTION_ID_LENGTH)
      if (this.mayRetryAs(id)) return id
    }
    return undefined
  }
}
