// Makes connections and closes them as soon as the handshake is confirmed, so many at a time.
//   node quic-handshakes.mjs PORT CA_FILE VERSION COUNT PARALLEL full|0rtt
import { ClientSessionCache, QuicClient, QuicSpdyClientSession, sessionOptions } from '../../dist/index.js'
import { clientOptions } from './connect.mjs'
import { load } from './load.mjs'

const [port, ca, version, count, parallel, kind] = process.argv.slice(2)
const known = kind === '0rtt'
const sessionCache = known ? new ClientSessionCache() : undefined
// Read once: what is measured is the server.
const options = { ...clientOptions(port, ca, { version }), sessionCache }

class Session extends QuicSpdyClientSession {
  onHandshakeConfirmed() {
    super.onHandshakeConfirmed()
    this.onConfirmed?.()
  }
  onSessionClosed() {
    super.onSessionClosed()
    this.onEnd?.()
  }
}

/** One connection; resolves when it is confirmed. Rejects if something else than `expected` became of early data. */
async function handshake(expected) {
  let session
  const createSession = (connection) => (session = new Session(connection, sessionOptions('client', {})))
  const client = await QuicClient.connect({ ...options, createSession })
  if (!client.connection.handshakeConfirmed) await confirmed(session)
  const { earlyData } = client.connection.describeHandshake()
  if (earlyData !== expected) throw new Error(`early data: ${earlyData}`)
  return client
}

function confirmed(session) {
  return new Promise((resolve, reject) => {
    session.onConfirmed = resolve
    session.onEnd = () => reject(session.closeError)
  })
}

// What the others know comes from one that knew nothing.
if (known) await (await handshake('none')).close()

await load(Number(count), Number(parallel), (done) => {
  const expected = known ? 'accepted' : 'none'
  handshake(expected).then((client) => client.close()).then(() => done(), done)
})
process.exit(0)
