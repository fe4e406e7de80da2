/** Why a server rejected a hello, as its rejection says. */
import type { HandshakeMessage } from '../../wire/handshake-message.js'
import { Tag, rejectReasonName } from '../../wire/tags.js'

/** The protocol's names of the reasons in RREJ, for people alone: a broken list is as good as none. */
export function rejectReasonNames(rejection: HandshakeMessage): string[] {
  const value = rejection.get(Tag.RREJ)
  return value === undefined || value.length % 4 !== 0 ? [] : rejection.uint32List(Tag.RREJ)!.map(rejectReasonName)
}
