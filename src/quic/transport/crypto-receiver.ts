/**
 * The receiving half of the crypto stream: puts handshake bytes into order and grants its flow-control credit.
 */
import { QuicStreamSequencer } from './streams/sequencer.js'

export { QuicStreamSequencer }
