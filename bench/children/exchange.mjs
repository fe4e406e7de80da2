// One request on a connection, its answer counted.
import { openRequestStream } from '../../dist/client/request-stream.js'

/** The headers of a GET. */
export function getHeaders(path) {
  return [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', 'bench.example'],
    [':path', path],
    ['user-agent', 'quicgate-bench']
  ]
}

/** What happens to the stream; `done` is called with an error, or with none and the number of bytes. */
class Exchange {
  constructor(session, done, onBytes) {
    this.session = session
    this.done = done
    this.onBytes = onBytes
    this.status = undefined
    this.length = 0
    this.failure = undefined
  }
  onResponse(headers) {
    this.status = headers.find(([name]) => name === ':status')[1]
  }
  onData() {
    for (let bytes = this.stream.read(); bytes !== undefined; bytes = this.stream.read()) {
      this.length += bytes.length
      this.onBytes?.(bytes)
    }
  }
  onTrailers() {}
  onWritable() {}
  onStopSending() {}
  onReset(code) {
    this.failure = new Error(`the stream was reset with code ${code}`)
  }
  onClose() {
    const failure = this.failure ?? (this.stream.readEnded ? undefined : this.session.closeError)
    if (failure !== undefined) this.done(failure, 0)
    else if (this.status !== '200') this.done(new Error(`status ${this.status}`), 0)
    else this.done(undefined, this.length)
  }
}

/**
 * Sends a GET.
 * @param {(error: Error | undefined, length: number) => void} done
 * @param {(bytes: Uint8Array) => void} [onBytes] is given the body
 */
export function get(session, headers, done, onBytes) {
  const exchange = new Exchange(session, done, onBytes)
  exchange.stream = openRequestStream(session, exchange)
  exchange.stream.writeHeaders(headers, true)
  return exchange.stream
}
