import { describe, expect, it } from 'vitest'
import { NativeEngine } from '../../../src/endpoint/engines/native-engine.js'
import { chooseEngine, defaultEngine, EngineError } from '../../../src/endpoint/engines/select-engine.js'
import { addon } from '../../helpers/engines.js'

const none = { QUICGATE_ENGINE: '' }

describe('the engine', () => {
  it('is what the flag says, else the environment, else the configuration', () => {
    const node = { QUICGATE_ENGINE: 'node' }
    expect(chooseEngine({ flag: 'node', config: 'native' }, { QUICGATE_ENGINE: 'native' })).toMatchObject({
      engine: { name: 'node' },
      why: '--engine asks for it'
    })
    expect(chooseEngine({ config: 'native' }, node)).toMatchObject({ engine: { name: 'node' }, why: 'QUICGATE_ENGINE asks for it' })
    expect(chooseEngine({ config: 'node' }, none)).toMatchObject({ engine: { name: 'node' }, why: 'the configuration asks for it' })
    expect(chooseEngine({ config: 'node' }, {}).engine.name).toBe('node')
  })

  it('cannot be one that there is not', () => {
    expect(() => chooseEngine({}, { QUICGATE_ENGINE: 'Native' })).toThrow(EngineError)
    expect(() => chooseEngine({}, { QUICGATE_ENGINE: 'Native' })).toThrow('expected one of auto, native, node, not "Native"')
    const missing = (): never => {
      throw new Error('No native build was found\nloaded from: here')
    }
    expect(() => chooseEngine({ flag: 'native' }, none, missing)).toThrow(/--engine asks .*: No native build was found; .*npm run build:native/)
    expect(chooseEngine({}, none, missing)).toMatchObject({
      engine: { name: 'node' },
      why: 'the native engine does not load: No native build was found'
    })
  })

  it.skipIf(addon === undefined)('is the native one where that runs', () => {
    const { engine, why } = chooseEngine({ config: 'auto' }, none)
    expect(engine).toBeInstanceOf(NativeEngine)
    expect(why).toContain('fits this Node')
    expect(chooseEngine({ flag: 'native' }, none).engine.name).toBe('native')
  })

  it('is one for all who are given none', () => {
    expect(defaultEngine()).toBe(defaultEngine())
  })
})
