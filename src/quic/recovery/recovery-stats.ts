/** Counters of the recovery layer, for logs and metrics. */
export class RecoveryStats {
  packetsSent = 0
  /** UDP payload bytes. */
  bytesSent = 0
  packetsAcked = 0
  /** Packets declared lost by number or by time. Those that a timeout resends are not among them. */
  packetsLost = 0
  /** Packets whose frames were given back, for whatever reason. */
  packetsRetransmitted = 0
  /** Those of them that were acknowledged after all. */
  packetsRetransmittedSpuriously = 0
  cryptoTimeouts = 0
  lossTimeouts = 0
  tailLossProbes = 0
  retransmissionTimeouts = 0
}
