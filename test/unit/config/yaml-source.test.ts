import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ConfigError } from '../../../src/config/config-error.js'
import { substitute } from '../../../src/config/environment.js'
import { suggest } from '../../../src/config/suggest.js'
import {
  duration,
  hostPort,
  oneOrMore,
  parseDuration,
  parseHostPort,
  parseSize,
  size
} from '../../../src/config/values.js'
import { YamlSource } from '../../../src/config/yaml-source.js'
import { problemsOf } from '../../../src/config/zod-problems.js'

/** The messages of a text under a schema, as a person sees them. */
function messages(text: string, schema: z.ZodType, environment: NodeJS.ProcessEnv = {}): string[] {
  try {
    const source = YamlSource.parse(text, 'x.yaml', environment)
    const result = schema.safeParse(source.value)
    if (result.success) return []
    throw new ConfigError(problemsOf(source, schema, result.error.issues))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.message.split('\n')
  }
}

describe('environment variables', () => {
  it.each([
    ['a ${X} b', 'a 1 b'],
    ['${X}${Y}', '12'],
    ['${NONE:-}', ''],
    ['${NONE:-http://h:1}', 'http://h:1'],
    ['${EMPTY:-d}', 'd'],
    ['${EMPTY}', ''],
    ['$${X}', '${X}'],
    ['$X', '$X']
  ])('%s gives %s', (text, expected) => {
    const result = substitute(text, { X: '1', Y: '2', EMPTY: '' })
    expect(result).toMatchObject({ text: expected, problems: [] })
  })

  it('reports unset and malformed ones where they stand', () => {
    const text = 'name: "a ${NONE}"\nother:\n  - x ${no good}\n  - ${UNCLOSED\n'
    expect(messages(text, z.unknown())).toEqual([
      'x.yaml:1:10: environment variable NONE is not set; set it, or give a default: ${NONE:-default}',
      'x.yaml:3:7: "${no good}" is not a variable; write ${NAME} or ${NAME:-default}, and $${ for a literal ${',
      'x.yaml:4:5: "${UNCLOSED" is not a variable; write ${NAME} or ${NAME:-default}, and $${ for a literal ${'
    ])
  })

  it('gives numbers and booleans where no quotes stand, texts where they do', () => {
    const source = YamlSource.parse('[a: ${N}, b: "${N}", c: ${T}]'.replaceAll(/[[\]]/g, '').replaceAll(', ', '\n'), 'x', {
      N: '42',
      T: 'true'
    })
    expect(source.value).toEqual({ a: 42, b: '42', c: true })
  })

  it('takes what a variable holds as text, never as YAML', () => {
    const source = YamlSource.parse('a: ${EVIL}', 'x', { EVIL: '{b: c}\nd: e' })
    expect(source.value).toEqual({ a: '{b: c}\nd: e' })
  })
})

describe('problems', () => {
  const schema = z.strictObject({
    listeners: z.array(
      z.strictObject({
        address: hostPort(),
        window: size(16_384).optional(),
        level: z.enum(['cubic', 'reno']).optional()
      })
    ).min(1),
    timeout: duration(1).optional(),
    count: z.int().min(1).optional(),
    names: oneOrMore(z.string()).optional()
  })

  it.each<[string, string, string[]]>([
    ['an unknown key', 'listeners:\n  - address: 127.0.0.1:1\n    adress: x\n', [
      'x.yaml:3:5: unknown key "adress" in listeners[0]; did you mean "address"?'
    ]],
    ['an unknown key like no other', 'zebra: 1\nlisteners: [{ address: "h:1" }]\n', [
      'x.yaml:1:1: unknown key "zebra"; expected one of listeners, timeout, count, names'
    ]],
    ['a missing key', 'listeners:\n  - window: 64KiB\n', [
      'x.yaml:2:5: "address" is missing in listeners[0]; expected an address with port such as 127.0.0.1:4433 or [::1]:4433'
    ]],
    [
      'a missing list',
      'count: 1\n',
      ['x.yaml:1:1: "listeners" is missing; expected a list (lines that begin with "- ")']
    ],
    ['an empty list', 'listeners: []\n', ['x.yaml:1:12: listeners: expected at least 1 entry']],
    ['a text for a list', 'listeners: yes\n', [
      'x.yaml:1:12: listeners: expected a list (lines that begin with "- "), not the text "yes"'
    ]],
    ['an address without port', 'listeners:\n  - address: 127.0.0.1\n', [
      'x.yaml:2:14: listeners[0].address: expected an address with port such as 127.0.0.1:4433 or [::1]:4433, not "127.0.0.1"'
    ]],
    ['a bad choice', 'listeners:\n  - { address: "h:1", level: cubik }\n', [
      'x.yaml:2:30: listeners[0].level: "cubik" is not allowed here; did you mean "cubic"?'
    ]],
    ['a duration without unit', 'listeners: [{ address: "h:1" }]\ntimeout: 30\n', [
      'x.yaml:2:10: timeout: expected a duration such as 500ms, 30s or 5m, not "30"; "30" has no unit, write 30s for seconds'
    ]],
    ['a size out of range', 'listeners:\n  - { address: "h:1", window: 1KiB }\n', [
      'x.yaml:2:31: listeners[0].window: must be between 16384 and 1099511627776 bytes, not "1KiB"'
    ]],
    [
      'a fraction',
      'listeners: [{ address: "h:1" }]\ncount: 1.5\n',
      ['x.yaml:2:8: count: expected a whole number, not 1.5']
    ],
    ['a small number', 'listeners: [{ address: "h:1" }]\ncount: 0\n', ['x.yaml:2:8: count: must be at least 1, not 0']],
    ['a wrong entry of a list of texts', 'listeners: [{ address: "h:1" }]\nnames: [a, 5]\n', [
      'x.yaml:2:12: names[1]: expected a text, not 5'
    ]],
    ['several at once, by line', 'timeout: soon\nlisteners:\n  - address: h:99999\ncont: 1\n', [
      'x.yaml:1:10: timeout: expected a duration such as 500ms, 30s or 5m, not "soon"',
      'x.yaml:3:14: listeners[0].address: expected an address with port such as 127.0.0.1:4433 or [::1]:4433, not "h:99999"',
      'x.yaml:4:1: unknown key "cont"; did you mean "count"?'
    ]],
    ['an empty file', '', ['x.yaml:1:1: expected a mapping (key: value lines), not nothing']],
    [
      'broken YAML',
      'a: [1\nb: 2\n',
      ['x.yaml:2:1: not valid YAML: flow sequence in block collection must be sufficiently indented and end with a ]']
    ],
    ['a key given twice', 'count: 1\ncount: 2\n', ['x.yaml:2:1: not valid YAML: map keys must be unique']]
  ])('tell of %s', (_, text, expected) => {
    const found = messages(text, schema)
    // The YAML parser may find more to say about one broken place; the first line is ours to promise.
    expect(text.startsWith('a: [') ? found.slice(0, 1) : found).toEqual(expected)
  })

  it('find their place through anchors', () => {
    const text = 'x: &a\n  address: bad\nlisteners:\n  - *a\n'
    const found = messages(text, schema.extend({ x: z.unknown() }))
    expect(found).toEqual([expect.stringMatching(/^x\.yaml:2:12: listeners\[0\]\.address: /)])
  })

  it('refuse a bomb of aliases', () => {
    const lines = ['a: &a [x,x,x,x,x,x,x,x,x]']
    for (let i = 1; i < 8; i++) lines.push(
      `${'abcdefgh'[i]}: &${'abcdefgh'[i]} [${`*${'abcdefgh'[i - 1]},`.repeat(9)}]`
    )
    expect(messages(lines.join('\n'), z.unknown())[0]).toMatch(/^x\.yaml:1:1: not usable YAML: Excessive alias count/)
  })

  it('name a file that cannot be read', () => {
    expect(() => YamlSource.read('/no/such.yaml', 'the configuration')).toThrow(
      '/no/such.yaml: cannot read the configuration: no such file; name an existing YAML file'
    )
  })
})

describe('values', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['0', 0],
    ['5', undefined],
    ['5 y', undefined],
    ['-1s', undefined]
  ])(
    'duration %s is %s ms', (text, expected) => expect(parseDuration(text)).toBe(expected)
  )
  it.each([
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['500KB', 500_000],
    ['1350', 1350],
    ['1.5KiB', 1536],
    ['12XB', undefined],
    ['', undefined]
  ])(
    'size %s is %s bytes', (text, expected) => expect(parseSize(text)).toBe(expected)
  )
  it.each([
    ['127.0.0.1:4433', { host: '127.0.0.1', port: 4433 }],
    ['[::1]:443', { host: '::1', port: 443 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['::1:443', undefined],
    ['[127.0.0.1]:1', undefined],
    ['h:65536', undefined],
    [':443', undefined]
  ])('address %s', (text, expected) => expect(parseHostPort(text)).toEqual(expected))

  it.each([['maxStreem', 'maxStreams'], ['first-byte', 'firstByte'], ['paht', 'path'], ['xyz', undefined]])(
    'takes %s for %s', (word, expected) => expect(suggest(word, ['maxStreams', 'firstByte', 'path'])).toBe(expected)
  )
})
