/**
 * A client that changes its address: whether to follow it, and what that does to what is known of the path
 * (quic_connection.cc, StartPeerMigration and OnPeerMigrationValidated; quic_utils.cc, DetermineAddressChangeType).
 */
import type { PeerAddress } from '../types.js'

/**
 * How two addresses differ. A changed port, or another host of the same IPv4 /24, is taken for a NAT's doing: the path
 * is the same, and what is known of it holds.
 */
export type AddressChange = 'none' | 'port' | 'ipv4-subnet' | 'address'

/** Tells what changed between two addresses in text form. */
export function addressChange(from: PeerAddress, to: PeerAddress): AddressChange {
  if (from.address === to.address) return from.port === to.port ? 'none' : 'port'
  if (from.family !== 4 || to.family !== 4) return 'address'
  return subnet(from.address) === subnet(to.address) ? 'ipv4-subnet' : 'address'
}

function subnet(address: string): string {
  return address.slice(0, address.lastIndexOf('.'))
}

/**
 * One migration at a time: another begins only when an acknowledgement covers a packet that was sent after the move, so
 * that packets from two addresses in turn do not send the answers back and forth.
 */
export class PathMigration {
  private sentBefore = 0
  private active = false

  /** Whether the last move is yet unconfirmed. */
  get underway(): boolean {
    return this.active
  }

  /**
   * Whether to follow the peer to another address.
   * @param silent timeouts have run out since the move: whoever waits at the address under validation does not answer.
   *   (The reference waits for it all the same, and dies of a NAT that rebinds twice in a round trip.)
   */
  mayStart(silent: boolean): boolean {
    return !this.active || silent
  }

  /** Follows; `largestSent` is the packet number sent last. */
  start(largestSent: number): void {
    this.active = true
    this.sentBefore = largestSent
  }

  /** The peer acknowledged this packet as its largest. */
  onAck(largestAcked: number): void {
    if (largestAcked > this.sentBefore) this.active = false
  }
}
