/**
 * Rejections without a connection: a client that said so (COPT SREJ) is told to come back under another connection id
 * with what the rejection brings, and the server keeps nothing but the answer (stateless_rejector.cc).
 */
import { HandshakeMessage } from '../../wire/handshake-message.js'
import { Tag, tagOf } from '../../wire/tags.js'
import type { ClientHelloContext, ServerHandshakeSecrets } from './client-hello-check.js'
import { checkClientHello } from './client-hello-check.js'
import { buildRejection } from './rejection.js'

const CONNECTION_ID_LENGTH = 8
const SREJ_OPTION = tagOf('SREJ')
/** What a client takes on its crypto stream before it has told its window, bytes. */
const MAX_REJECTION = 16 * 1024

/** Decides about first hellos. One a server. */
export class StatelessRejector {
  constructor(private readonly secrets: ServerHandshakeSecrets) {}

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
      const retryId = context.helper.randomBytes(CONNECTION_ID_LENGTH)
      const rejection = buildRejection(hello, checked, context, this.secrets, retryId).serialize()
      return rejection.length <= MAX_REJECTION ? rejection : undefined
    } catch {
      // A connection finds the same fault again, and tells the client.
      return undefined
    }
  }
}
