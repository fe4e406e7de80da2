import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeaderCondition } from '../../../src/config/patterns/header-condition.js'
import { HostPattern } from '../../../src/config/patterns/host-pattern.js'
import { PathPattern, pathSegments } from '../../../src/config/patterns/path-pattern.js'
import { compareEntries, findShadowedRoutes, orderRoutes } from '../../../src/config/route-order.js'
import type { RouteMatchRule } from '../../../src/config/route-schema.js'

const paths: Record<string, (text: string) => PathPattern> = {
  exact: PathPattern.exact,
  prefix: PathPattern.prefix,
  pattern: PathPattern.pattern
}

/** `exact /a`, `prefix /a`, `pattern /a/:b`. */
function path(text: string): PathPattern {
  const [kind, rest] = text.split(' ')
  return paths[kind](rest)
}

describe('path patterns', () => {
  it.each<[string, string, object | undefined]>([
    ['exact /a', '/a', {}],
    ['exact /a', '/a/', undefined],
    ['exact /a/', '/a/', {}],
    ['exact /', '/', {}],
    ['exact /admin', '/%61dmin', {}],
    ['exact /a%2fb', '/a%2Fb', {}],
    ['exact /a/b', '/a%2Fb', undefined],
    ['prefix /a', '/a', {}],
    ['prefix /a', '/a/', {}],
    ['prefix /a', '/a/b/c', {}],
    ['prefix /a', '/ab', undefined],
    ['prefix /a/', '/a', {}],
    ['prefix /', '/anything', {}],
    ['pattern /u/:id', '/u/7', { id: '7' }],
    ['pattern /u/:id', '/u/', undefined],
    ['pattern /u/:id', '/u/7/', undefined],
    ['pattern /u/:id(\\d+)', '/u/7x', undefined],
    ['pattern /u/:id(\\d+)/*', '/u/7/a/b', { id: '7', '*': 'a/b' }],
    ['pattern /u/*rest', '/u/', { rest: '' }],
    ['pattern /u/*rest', '/u', undefined]
  ])('%s and %s', (pattern, text, expected) => {
    expect(path(pattern).match(pathSegments(text))).toEqual(expected)
  })

  it.each([
    ['pattern a', 'a path begins with "/": write "/a"'],
    ['pattern /*/a', '"*" must be the last segment of "/*/a"'],
    ['pattern /a*', '"*" stands alone in the last segment of "/a*"'],
    ['pattern /:a/:a', 'two parameters of "/:a/:a" are named "a"; give each its own name'],
    ['pattern /:1', '":1" is not a parameter; write :name or :name(regex) for one whole segment'],
    ['exact /a?b', 'a route matches the path only; leave out everything from "?" or "#" on']
  ])('%s is refused', (pattern, message) => expect(() => path(pattern)).toThrow(message))
})

describe('host patterns', () => {
  it.each([
    ['example.com', 'example.com', true],
    ['EXAMPLE.com', 'example.com', true],
    ['example.com', 'www.example.com', false],
    ['*.example.com', 'www.example.com', true],
    ['*.example.com', 'a.b.example.com', true],
    ['*.example.com', 'example.com', false],
    ['*.example.com', 'badexample.com', false],
    ['*', 'x', true],
    ['::1', '::1', true]
  ])('%s and %s: %s', (pattern, host, expected) => expect(HostPattern.parse(pattern).match(host)).toBe(expected))

  it.each(['exa mple', 'a.*.com', 'example.com:80', '', 'http://a'])('refuse %j', (text) =>
    expect(() => HostPattern.parse(text)).toThrow()
  )
})

interface TestRoute {
  readonly name: string
  readonly match: RouteMatchRule
}

interface Shape {
  hosts?: string[]
  paths?: string[]
  methods?: string[]
  headers?: HeaderCondition[]
}

function route(name: string, { hosts, paths, methods, headers = [] }: Shape): TestRoute {
  return {
    name,
    match: {
      hosts: hosts?.map(HostPattern.parse) ?? [HostPattern.any],
      paths: paths?.map(path) ?? [PathPattern.any],
      methods,
      headers
    }
  }
}

describe('precedence', () => {
  it('goes by host, path, methods, headers, then order', () => {
    const written: [string, Shape][] = [
      ['any', {}],
      ['any again', {}],
      ['method', { methods: ['GET'] }],
      ['header', { headers: [HeaderCondition.present('x')] }],
      ['prefix', { paths: ['prefix /a'] }],
      ['longer prefix', { paths: ['prefix /a/b'] }],
      ['rest', { paths: ['pattern /a/*'] }],
      ['param', { paths: ['pattern /a/:x'] }],
      ['constrained', { paths: ['pattern /a/:x(\\d+)'] }],
      ['exact', { paths: ['exact /a/b'] }],
      ['wildcard host', { hosts: ['*.example.com'] }],
      ['longer wildcard', { hosts: ['*.www.example.com'] }],
      ['exact host', { hosts: ['www.example.com'] }],
      ['exact host and path', { hosts: ['www.example.com'], paths: ['exact /z'] }]
    ]
    const names = orderRoutes(written.map(([name, shape]) => route(name, shape))).map((entry) => entry.route.name)
    expect(names).toEqual([
      'exact host and path', 'exact host', 'longer wildcard', 'wildcard host', 'exact', 'longer prefix', 'constrained',
      'param', 'rest', 'prefix', 'method', 'header', 'any', 'any again'
    ])
  })
})

const shape: fc.Arbitrary<Shape> = fc.record(
  {
    hosts: fc.subarray(['a.com', 'b.a.com', '*.a.com', '*.com', '*'], { minLength: 1, maxLength: 2 }),
    paths: fc.subarray(
      [
        'exact /',
        'exact /a',
        'exact /a/1',
        'prefix /',
        'prefix /a',
        'prefix /a/1',
        'pattern /:x',
        'pattern /a/:x',
        'pattern /a/:x(\\d)',
        'pattern /a/*'
      ],
      { minLength: 1, maxLength: 2 }
    ),
    methods: fc.subarray(['GET', 'POST'], { minLength: 1 }),
    headers: fc.subarray([
      HeaderCondition.present('x'),
      HeaderCondition.exact('x', '1'),
      HeaderCondition.regex('x', '\\d')
    ])
  },
  { requiredKeys: [] }
)

const requests = ['a.com', 'b.a.com', 'c.com', 'x'].flatMap((host) =>
  ['/', '/a', '/a/', '/a/1', '/a/b', '/a/1/2', '/z'].flatMap((target) =>
    ['GET', 'POST', 'PUT'].flatMap((method) =>
      [undefined, '1', 'y'].map((x) => ({ host, target, method, fields: x === undefined ? [] : ([['x', x]] as const) }))
    )
  )
)

function fits({ match }: TestRoute, { host, target, method, fields }: (typeof requests)[number]): boolean {
  return (
    match.hosts.some((pattern) => pattern.match(host)) &&
    match.paths.some((pattern) => pattern.match(pathSegments(target)) !== undefined) &&
    match.methods?.includes(method) !== false &&
    match.headers.every((condition) => condition.match(fields))
  )
}

describe('shadowing', () => {
  it.each<[string, Shape, Shape]>([
    ['the same route twice', {}, {}],
    ['a parameter by another name', { paths: ['pattern /:a'] }, { paths: ['pattern /:b'] }],
    ['one method of two', { methods: ['GET', 'POST'] }, { methods: ['POST'] }],
    [
      'a value of a present header',
      { headers: [HeaderCondition.present('x')] },
      { headers: [HeaderCondition.exact('x', '1')] }
    ]
  ])('is found: %s', (_, first, second) => {
    const [a, b] = [route('a', first), route('b', second)]
    expect(findShadowedRoutes(orderRoutes([a, b]))).toEqual([{ route: b, by: [a] }])
  })

  it('is found when several routes share the work', () => {
    const [get, post, both] = [
      route('get', { methods: ['GET'] }),
      route('post', { methods: ['POST'] }),
      route('both', { methods: ['GET', 'POST'] })
    ]
    expect(findShadowedRoutes(orderRoutes([get, post, both]))).toEqual([{ route: both, by: [get, post] }])
  })

  it('is not claimed where the narrower route comes first by itself', () => {
    expect(findShadowedRoutes(orderRoutes([route('all', {}), route('some', { paths: ['prefix /a'] })]))).toEqual([])
  })

  it('is only claimed for routes that really never match', () => {
    fc.assert(
      fc.property(fc.array(shape, { minLength: 2, maxLength: 6 }), (shapes) => {
        const routes = shapes.map((each, index) => route(String(index), each))
        const entries = orderRoutes(routes)
        const shadowed = new Set(findShadowedRoutes(entries).map((each) => each.route))
        for (const request of requests) {
          const taken = entries.find((entry) => fits(
            { name: '', match: { ...entry, hosts: [entry.host], paths: [entry.path] } },
            request
          ))
          if (taken !== undefined) expect(shadowed.has(taken.route)).toBe(false)
          // Sorting does not lose or invent anything: some route fits exactly when some entry does.
          expect(taken !== undefined).toBe(routes.some((each) => fits(each, request)))
        }
      })
    )
  })

  it('rests on an order without contradictions', () => {
    const entries = fc.array(
      shape,
      { minLength: 3, maxLength: 3 }
    ).map((shapes) => shapes.map((each) => orderRoutes([route('', each)])[0]))
    fc.assert(
      fc.property(entries, ([a, b, c]) => {
        expect(Math.sign(compareEntries(a, b))).toBe(-Math.sign(compareEntries(b, a)) + 0)
        if (compareEntries(a, b) <= 0 && compareEntries(b, c) <= 0) expect(compareEntries(a, c)).toBeLessThanOrEqual(0)
      })
    )
  })
})
