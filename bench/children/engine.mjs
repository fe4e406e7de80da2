// The packet engine that QUICGATE_ENGINE names, as the product chooses it.
import { chooseEngine } from '../../dist/endpoint/engines/select-engine.js'

/**
 * An engine for an endpoint.
 * @param {string} [aead] the only AEAD that the endpoint is to take, `AESG` or `CC20`
 */
export function engine(aead) {
  const { engine: chosen } = chooseEngine()
  if (aead === undefined) return chosen
  const aeadProvider = Object.create(chosen.aeadProvider, { preference: { value: [aead] } })
  return { name: chosen.name, aeadProvider, open: (options) => chosen.open(options) }
}
