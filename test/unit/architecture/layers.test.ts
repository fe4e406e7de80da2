import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const source = resolve(import.meta.dirname, '../../../src')

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => join(source, name))

interface Import {
  readonly from: string
  readonly to: string
  readonly typeOnly: boolean
}

const pattern = /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gms

const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(file, 'utf8').matchAll(pattern)].map(([, type, target]) => ({
    from: relative(source, file),
    to: target!.startsWith('.') ? relative(source, resolve(dirname(file), target!)).replace(/\.js$/, '.ts') : target!,
    typeOnly: type !== undefined
  }))
)

/** What each room may use besides itself. A room that is not listed fails the test: say where it belongs. */
const allowed: Record<string, readonly string[]> = {
  cli: ['client', 'config', 'endpoint', 'forwarder', 'gateway', 'http', 'inspect', 'observe', 'quic', 'serve'],
  client: ['config', 'endpoint', 'http', 'observe', 'quic'],
  gateway: ['config', 'endpoint', 'http', 'observe', 'quic'],
  forwarder: ['client', 'config', 'endpoint', 'http', 'observe', 'quic'],
  serve: ['config', 'endpoint', 'http', 'observe', 'quic'],
  inspect: ['quic'],
  endpoint: ['quic'],
  http: ['quic'],
  config: ['quic'],
  observe: ['quic'],
  quic: []
}

const room = (path: string): string => path.split('/')[0]!

describe('the layers', () => {
  it('hold a place for every file', () => {
    const unknown = files.map((file) => relative(source, file)).filter((file) => file !== 'index.ts' && !(room(file) in allowed))
    expect(unknown).toEqual([])
    expect(imports.length).toBeGreaterThan(500)
  })

  it('depend downwards only', () => {
    const wrong = imports.filter(({ from, to }) => {
      if (from === 'index.ts' || !to.endsWith('.ts')) return false
      return room(from) !== room(to) && !allowed[room(from)]?.includes(room(to))
    })
    expect(wrong).toEqual([])
  })

  it('keep the core free of I/O: no Node module but crypto and zlib', () => {
    const wrong = imports.filter(({ from, to }) => room(from) === 'quic' && to.startsWith('node:') && !/^node:(crypto|zlib)$/.test(to))
    expect(wrong).toEqual([])
  })

  it('keep the core free of clocks, timers and randomness of its own', () => {
    const forbidden = /\b(Date\.now|performance\.now|process\.hrtime|Math\.random|setTimeout|setImmediate|setInterval|randomBytes\()/
    const wrong = files
      .filter((file) => room(relative(source, file)) === 'quic')
      .filter((file) => {
        const code = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
        return forbidden.test(code.replace(/helper\.randomBytes\(|randomBytes\(length: number\)/g, ''))
      })
    expect(wrong.map((file) => relative(source, file))).toEqual([])
  })

  it('contain no circle', () => {
    const graph = new Map<string, string[]>()
    for (const { from, to, typeOnly } of imports) {
      if (typeOnly || !to.endsWith('.ts')) continue
      graph.set(from, [...(graph.get(from) ?? []), to])
    }
    const done = new Set<string>()
    const circles: string[] = []
    const visit = (file: string, path: string[]): void => {
      if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      if (done.has(file) || path.includes(file)) return
      for (const next of graph.get(file) ?? []) visit(next, [...path, file])
      done.add(file)
    }
    for (const file of graph.keys()) visit(file, [])
    expect(circles).toEqual([])
  })
})
