/**
 * Two endpoints in one process: the product's classes from driver to streams, on a virtual clock, with a wire that is an
 * array and a cipher that does nothing. What is left is the protocol's own cost.
 *
 * Usage: node core.mjs CERT KEY CA MEGABYTES VERSION [DIST], where DIST is another build to measure
 */
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { getHeapStatistics } from 'node:v8'

const [certPath, keyPath, caPath, megabytes, label, dist = new URL('../../dist', import.meta.url).pathname] = process.argv.slice(2)
const {
  CaProofVerifier,
  QuicClient,
  QuicServer,
  QuicSpdyServerSession,
  QuicSpdyStream,
  RECEIVE_BUDGET,
  StaticProofSource,
  TRANSMIT_BUFFER_SIZE,
  certifiedKeyFromPem,
  loadCaFile,
  sessionOptions,
  systemHelper,
  versionByLabel
} = await import(pathToFileURL(`${dist}/index.js`).href)

const BODY = Number(megabytes) * 1e6
/** The first part of the body warms compilers up and opens the windows. */
const WARM_UP = BODY / 4
const PIECE = Buffer.alloc(131_072, 'quicgate')
/** One way, µs, and how long a full packet occupies the link: a tenth of a gigabit per 100 packets and millisecond. */
const DELAY = 1000
const MICROS_PER_PACKET = 10
/** A program is not called for every datagram by itself: what arrives within this time, µs, is one batch. */
const LATENCY = 100
/** Datagrams between two looks at the heap. */
const SAMPLE_EVERY = 256

// ---- a cipher that does nothing ----

const NO_MASK = new Uint8Array(16)
const noProtector = { mask: () => NO_MASK }

class NoProtection {
  prefixLength = 0

  constructor(style) {
    this.suffixLength = style?.tagLength ?? 12
    this.headerProtector = style?.headerProtection === true ? noProtector : undefined
  }

  seal() {}

  open(_buffer, _headerStart, headerEnd, end) {
    return end - headerEnd - this.suffixLength
  }
}

const noAead = {
  preference: ['AESG'],
  createSealer: (_aead, _key, _iv, style) => new NoProtection(style),
  createOpener: (_aead, _key, _iv, style) => new NoProtection(style),
  createHeaderProtector: () => noProtector
}

const { copy } = Buffer.prototype

// ---- virtual time, and what every endpoint costs ----

let now = 1_000_000

/** One end: its clock, its alarms, its socket; counts the time that is spent in it. */
class Side {
  address
  peer
  spent = 0
  datagramsSent = 0
  #soon = []
  #alarms = new Set()
  #handler
  #arrivals = []
  #first = 0
  #free = []
  #busyUntil = 0
  #out = new Uint8Array(TRANSMIT_BUFFER_SIZE)

  constructor(port) {
    this.address = { family: 4, address: '127.0.0.1', port }
    this.helper = {
      randomBytes: systemHelper.randomBytes,
      wallSeconds: systemHelper.wallSeconds,
      now: () => now,
      setAlarm: (callback, delayMs) => {
        const alarm = { at: now + delayMs * 1000, callback }
        this.#alarms.add(alarm)
        return alarm
      },
      cancelAlarm: (alarm) => void this.#alarms.delete(alarm),
      runSoon: (callback) => void this.#soon.push(callback)
    }
    this.engine = { name: 'array', aeadProvider: noAead, open: async ({ handler }) => this.#open(handler) }
  }

  #open(handler) {
    this.#handler = handler
    return {
      localAddress: this.address,
      receiveBufferSize: 0,
      acquireBuffer: () => this.#out,
      send: ({ length, segmentSize }, bytes) => {
        for (let at = 0; at < length; at += segmentSize) this.#send(bytes, at, Math.min(segmentSize, length - at))
        return true
      },
      flush: () => true,
      kernelDrops: () => undefined,
      close: async () => {}
    }
  }

  #send(bytes, at, size) {
    const { peer } = this
    const arrival = peer.#free.pop() ?? { time: 0.5, bytes: new Uint8Array(1500), datagram: NO_MASK }
    // The wire itself makes nothing for a packet, so that all that is counted is the protocol's.
    if (arrival.datagram.length !== size) arrival.datagram = arrival.bytes.subarray(0, size)
    copy.call(bytes, arrival.bytes, 0, at, at + size)
    this.#busyUntil = Math.max(now, this.#busyUntil) + MICROS_PER_PACKET
    arrival.time = this.#busyUntil + DELAY
    peer.#arrivals.push(arrival)
    this.datagramsSent++
  }

  /** When something happens next. */
  next() {
    if (this.#soon.length > 0) return now
    let next = this.#first < this.#arrivals.length ? this.#arrivals[this.#first].time : Infinity
    for (const { at } of this.#alarms) next = Math.min(next, at)
    return next
  }

  /** Does what is due. */
  run() {
    const start = performance.now()
    const soon = this.#soon
    this.#soon = []
    for (const callback of soon) callback()
    for (const alarm of this.#alarms) {
      if (alarm.at > now) continue
      this.#alarms.delete(alarm)
      alarm.callback()
    }
    this.#receive()
    this.spent += performance.now() - start
  }

  #receive() {
    const arrivals = this.#arrivals
    let count = 0
    for (; count < RECEIVE_BUDGET && this.#first < arrivals.length && arrivals[this.#first].time <= now; count++) {
      const arrival = arrivals[this.#first++]
      this.#handler.onDatagram(this.peer.address, arrival.datagram)
      this.#free.push(arrival)
    }
    if (count > 0) this.#handler.onBatchEnd()
    if (this.#first === arrivals.length) {
      arrivals.length = 0
      this.#first = 0
    }
  }
}

// ---- who sends and who receives ----

class SendingStream extends QuicSpdyStream {
  #left = BODY

  onInitialHeaders() {
    this.writeHeaders([[':status', '200'], ['content-length', String(BODY)]], false)
    this.#pump()
  }

  onWritable() {
    this.#pump()
  }

  #pump() {
    for (let more = true; more && this.#left > 0; ) {
      const size = Math.min(PIECE.length, this.#left)
      this.#left -= size
      more = this.write(size === PIECE.length ? PIECE : PIECE.subarray(0, size), this.#left === 0)
    }
  }
}

class SendingSession extends QuicSpdyServerSession {
  createIncomingDynamicStream(id) {
    return new SendingStream(id, this)
  }
}

let received = 0
const room = new Uint8Array(65_536)

class ReceivingStream extends QuicSpdyStream {
  onDataAvailable() {
    for (let length = this.readInto(room); length > 0; length = this.readInto(room)) received += length
  }
}

// ---- the measurement ----

const server = new Side(443)
const client = new Side(50_000)
server.peer = client
client.peer = server

const version = versionByLabel(label)
const listening = await QuicServer.listen({
  host: '127.0.0.1',
  port: 443,
  versions: [version],
  proofSource: new StaticProofSource([certifiedKeyFromPem(readFileSync(certPath, 'utf8'), readFileSync(keyPath, 'utf8'))]),
  engine: server.engine,
  helper: server.helper,
  createSession: (connection) => new SendingSession(connection, sessionOptions('server', {}))
})
const connecting = QuicClient.connect({
  host: '127.0.0.1',
  port: 443,
  serverName: 'localhost',
  versions: [version],
  verifier: new CaProofVerifier({ ca: loadCaFile(caPath) }),
  engine: client.engine,
  helper: client.helper
})

let connected
connecting.then((connection) => (connected = connection))
for (let turns = 0; connected === undefined; turns++) {
  if (turns > 1000) throw new Error('no connection')
  await new Promise((resolve) => setImmediate(resolve))
  step()
}
const request = connected.session.openStream((id, session) => new ReceivingStream(id, session))
request.writeHeaders([[':method', 'GET'], [':scheme', 'https'], [':authority', 'localhost'], [':path', '/']], true)

runUntil(WARM_UP, () => {})
const heap = heapWatch()
const before = { spent: [server.spent, client.spent], sent: server.datagramsSent, acks: client.datagramsSent, cpu: process.cpuUsage() }
runUntil(BODY, heap.sample)
const cpu = process.cpuUsage(before.cpu)
const packets = server.datagramsSent - before.sent
const spent = [server.spent - before.spent[0], client.spent - before.spent[1]]
// Wall-clock time only tells the shares: processor time is what other programs cannot falsify.
const micros = cpu.user + cpu.system - heap.micros
const share = spent[0] / (spent[0] + spent[1])
console.log(JSON.stringify({
  sender: (micros * share) / packets,
  receiver: (micros * (1 - share)) / packets,
  allocated: heap.allocated / packets,
  packets,
  answers: client.datagramsSent - before.acks
}))
void listening

/** Lets everything happen that is due next. @returns false if nothing will ever happen again */
function step() {
  const next = Math.min(server.next(), client.next())
  if (next === Infinity) return false
  if (next > now) now = next + LATENCY
  server.run()
  client.run()
  return true
}

function runUntil(bytes, sample) {
  let sampledAt = 0
  while (received < bytes) {
    if (!step()) throw new Error(`stalled after ${received} bytes`)
    if (server.datagramsSent - sampledAt < SAMPLE_EVERY) continue
    sampledAt = server.datagramsSent
    sample()
  }
}

/** Adds up by how much the heap grows, which is what is allocated, as collections are seldom next to the samples. */
function heapWatch() {
  let last = used()
  const watch = {
    allocated: 0,
    micros: 0,
    sample() {
      const cpuBefore = process.cpuUsage()
      const bytes = used()
      if (bytes > last) watch.allocated += bytes - last
      last = bytes
      const { user, system } = process.cpuUsage(cpuBefore)
      watch.micros += user + system
    }
  }
  return watch
}

function used() {
  return getHeapStatistics().used_heap_size + process.memoryUsage().arrayBuffers
}
