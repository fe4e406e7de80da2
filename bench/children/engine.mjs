// The packet engine that QUICGATE_ENGINE names, as the product chooses it.
import { NodeEngine } from '../../dist/index.js'

const select = await import('../../dist/endpoint/engines/select-engine.js').catch(() => undefined)

/**
 * An engine for an endpoint.
 * @param {string} [aead] the only AEAD that the endpoint is to take, `AESG` or `CC20`
 */
export function engine(aead) {
  const chosen = select === undefined ? new NodeEngine() : select.chooseEngine().engine
  if (aead === undefined) return chosen
  const aeadProvider = Object.create(chosen.aeadProvider, { preference: { value: [aead] } })
  return { aeadProvider, open: (options) => chosen.open(options) }
}
