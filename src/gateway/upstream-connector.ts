/** How connections to an upstream are opened, and how what they receive reaches undici. */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { buildConnector } from 'undici'
import type { UpstreamTarget } from '../config/upstream-schema.js'

/** What a single read takes at most, bytes: what Node itself asks of a socket. */
const READ_SIZE = 64 * 1024

/** Where all connections read into: what came is copied out before the next one reads. */
const landing = new Uint8Array(READ_SIZE)

/** What undici has not taken yet of what a connection received. */
class Intake {
  held: Buffer | undefined
  /** Whether undici paused the response: until it reads again, it must hear of nothing. */
  paused = false
  /** Whether nothing more is taken from the kernel, on account of either. */
  stopped = false
  /** Whether Node wanted to tell the end meanwhile. */
  owesRead = false
}

const kIntake = Symbol('intake')

type DirectSocket = Socket & { [kIntake]?: Intake }

/**
 * Makes the function that opens connections.
 * @param servername what https asks for and verifies; undefined to verify the address
 */
export function upstreamConnector(
  target: UpstreamTarget,
  servername: string | undefined,
  timeoutMs: number
): buildConnector.connector {
  const connector = buildConnector({
    timeout: timeoutMs,
    ca: target.tls?.ca === undefined ? undefined : readFileSync(target.tls.ca),
    rejectUnauthorized: target.tls?.insecure !== true,
    onread: { buffer: landing, callback: takeReceived }
  })
  return (parameters, callback) => {
    // An address is no server name: TLS then verifies it as an address.
    connector({ ...parameters, servername }, (...outcome: Parameters<buildConnector.Callback>) => {
      const socket = outcome[0] === null ? outcome[1] : undefined
      if (socket !== undefined) readDirectly(socket)
      // What undici hears of errors stands between these two.
      socket?.on('error', hideReset)
      callback(...outcome)
      socket?.on('error', showReset)
    })
  }
}

/**
 * Gives undici what was received without a stream's buffer in between, whose machinery costs more than parsing a short
 * response. While undici has a response paused, the end of the connection is kept from it as well: it fails an assertion,
 * which nobody could catch, when it hears of the end of a response that ends with its connection.
 */
function readDirectly(socket: DirectSocket): void {
  const intake = (socket[kIntake] ??= new Intake())
  const { read } = socket
  socket.read = (size?: number): unknown => {
    // Node asks for nothing to begin the reading, and to tell the end.
    if (size === 0) {
      intake.owesRead = intake.paused
      return intake.paused ? null : (read.call(socket, 0) as unknown)
    }
    intake.paused = false
    // Not while something is held: what undici pauses over again must not grow.
    if (intake.stopped && intake.held === undefined) {
      intake.stopped = false
      // Node's counterpart to the false that stopped it.
      socket.resume()
    }
    // Later, since undici may pause again over what it gets now.
    if (intake.owesRead) process.nextTick(() => socket.read(0))
    const { held } = intake
    intake.held = undefined
    return held ?? null
  }
  // What undici gives back it gives back because it pauses.
  socket.unshift = (rest: Buffer) => {
    intake.paused = true
    intake.held = rest.length > 0 ? rest : undefined
  }
}

const RESET = 'ECONNRESET'
const HIDDEN_RESET = 'ECONNRESET, hidden'

/**
 * To undici a reset would be the end of a response that ends with its connection: half of one would pass for all of it, and
 * one that is paused would fail the same assertion. By any other code it is a failure.
 */
function hideReset(error: NodeJS.ErrnoException): void {
  if (error.code === RESET) error.code = HIDDEN_RESET
}

/** Others are to know what it was. */
function showReset(error: NodeJS.ErrnoException): void {
  if (error.code === HIDDEN_RESET) error.code = RESET
}

/** Takes what was read into `buffer`. @returns whether to read on */
function takeReceived(this: DirectSocket, length: number, buffer: Uint8Array): boolean {
  const intake = (this[kIntake] ??= new Intake())
  const piece = Buffer.from(buffer.subarray(0, length))
  intake.held = intake.held === undefined ? piece : Buffer.concat([intake.held, piece])
  this.emit('readable')
  intake.stopped = intake.paused || intake.held !== undefined
  return !intake.stopped
}
