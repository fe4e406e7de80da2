// What the load programs share: a number of requests, so many at a time, first some unmeasured ones.

/**
 * Warms up, waits for the word, sends `requests` requests with `inFlight` at a time and reports to the parent.
 * @param {(done: (error?: Error) => void, slot: number) => void} send sends one request and calls back when its answer
 *     is complete; `slot`, below `inFlight`, is free in between
 */
export async function load(requests, inFlight, send) {
  const warmUp = Math.min(2000, Math.ceil(requests / 5)) + inFlight
  await round(warmUp, inFlight, send)
  const go = told('go')
  process.send({ warm: true })
  await go
  const times = new Float64Array(requests)
  const started = performance.now()
  await round(requests, inFlight, send, times)
  const seconds = (performance.now() - started) / 1000
  times.sort()
  const at = (share) => times[Math.min(requests - 1, Math.floor(requests * share))]
  const end = told('end')
  process.send({ done: { seconds, p50: at(0.5), p99: at(0.99), p999: at(0.999) } })
  await end
}

/** Resolves when the parent says `word`. */
export function told(word) {
  return new Promise((resolve) => {
    process.channel.ref()
    const listener = (message) => {
      if (message !== word) return
      process.off('message', listener)
      resolve()
    }
    process.on('message', listener)
  })
}

function round(requests, inFlight, send, times) {
  return new Promise((resolve, reject) => {
    let sent = 0
    let answered = 0
    const next = (slot) => {
      if (sent === requests) return
      sent++
      const at = performance.now()
      send((error) => {
        if (error !== undefined) return reject(error)
        if (times !== undefined) times[answered] = performance.now() - at
        answered++
        if (answered === requests) resolve()
        else next(slot)
      }, slot)
    }
    for (let slot = 0; slot < inFlight; slot++) next(slot)
  })
}
