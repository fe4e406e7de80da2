import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseLinks, preloadTargets } from '../../../src/http/preload-links.js'

describe('preloadTargets', () => {
  const cases: [string, string[]][] = [
    ['</a.css>; rel=preload; as=style', ['/a.css']],
    ['</a.css>;rel="preload";as="style",</b.js>; rel=preload', ['/a.css', '/b.js']],
    ['</a.css>; rel=preload; nopush', []],
    ['</a.css>; rel=preload; nopush=""', []],
    ['</a.css>; rel="prefetch PRELOAD"', ['/a.css']],
    ['</a.css>; rel=prefetch; rel=preload', []],
    ['</next>; rel=next, , </a.css>; rel=preload', ['/a.css']],
    ['</a,b;c.css>; title="a, b; \\"nopush\\""; rel=preload', ['/a,b;c.css']],
    ['<https://other.example/x>; rel=preload', ['https://other.example/x']],
    ['/a.css; rel=preload', []],
    ['</a.css; rel=preload', []],
    ['</a.css>; rel=preload </b.css>; rel=preload', ['/a.css']],
    ['', []]
  ]
  it.each(cases)('%s', (value, expected) => expect(preloadTargets([value])).toEqual(expected))

  it('takes several fields, and 64 links at most', () => {
    expect(preloadTargets(['</a>;rel=preload', '</b>;rel=preload'])).toEqual(['/a', '/b'])
    expect(preloadTargets([Array.from({ length: 100 }, (_, i) => `</${i}>;rel=preload`).join(',')])).toHaveLength(64)
  })
})

describe('parseLinks', () => {
  it('reads back whatever is written by the rules', () => {
    const word = fc.stringMatching(/^[a-z]{1,8}$/)
    const link = fc.record({
      target: fc.stringMatching(/^[^<>\p{C}]{0,20}$/u),
      parameters: fc.uniqueArray(fc.tuple(word, fc.stringMatching(/^[ -~]{0,12}$/)), { selector: ([name]) => name })
    })
    fc.assert(
      fc.property(fc.array(link), (links) => {
        const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`
        const text = links.map(({ target, parameters }) =>
          [`<${target}>`, ...parameters.map(([name, value]) => `${name}=${quote(value)}`)].join('; ')
        )
        const read = parseLinks(text.join(', '))
        expect(read.map(({ target }) => target)).toEqual(links.map(({ target }) => target))
        expect(read.map(({ parameters }) => [...parameters])).toEqual(links.map(({ parameters }) => parameters))
      })
    )
  })

  it('takes any text, in linear time', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseLinks(text)))
    parseLinks(`<a>;x="${'\\'.repeat(100_000)}`)
    parseLinks(`<a>${'; '.repeat(100_000)}`)
    parseLinks('<'.repeat(100_000))
  })
})
