/** The protocol's own cost: two endpoints in one process, without sockets and ciphers. */
import { join } from 'node:path'
import { child, run } from '../processes.mjs'

/** One with protected headers, one without, and the first of all. */
const VERSIONS = ['Q050', 'Q046', 'Q036']

export const sizes = { coreMegabytes: 200 }
export const quickSizes = { coreMegabytes: 2 }

export async function* cases({ directory, certificates, size, pin }) {
  const { cert, key, ca } = certificates.ecdsa
  const usageFile = join(directory, 'core-usage.json')
  const measure = (version) => async () => {
    const args = [child('core.mjs'), cert, key, ca, size.coreMegabytes, version]
    const { output } = await run(args.map(String), { pin, usageFile })
    const { sender, receiver, allocated, packets, answers } = JSON.parse(output)
    return {
      'sender CPU µs/packet': sender,
      'receiver CPU µs/packet': receiver,
      'bytes allocated/packet': allocated,
      'packets/answer': packets / answers
    }
  }
  yield {
    name: 'core',
    title: `${size.coreMegabytes} MB in one response, from server to client, no sockets, no ciphers`,
    sides: VERSIONS.map((version) => ({ name: version, measure: measure(version) }))
  }
}
