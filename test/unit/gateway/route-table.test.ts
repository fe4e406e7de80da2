import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareEntries, orderRoutes } from '../../../src/config/route-order.js'
import { pathSegments } from '../../../src/config/patterns/path-pattern.js'
import { RouteTable } from '../../../src/gateway/route-table.js'
import type { RoutableRequest } from '../../../src/gateway/route-table.js'
import { routesOf } from '../../helpers/gateway-fixture.js'

const upstreams = ['http://127.0.0.1:1']

function table(...matches: object[]): RouteTable {
  return new RouteTable(orderRoutes(routesOf(matches.map((match, index) => ({ name: `r${index}`, match, upstreams })))))
}

function request(text: string, fields: [string, string][] = []): RoutableRequest {
  const [method, url] = text.split(' ')
  const slash = url.indexOf('/')
  return { method, host: url.slice(0, slash), path: url.slice(slash), fields }
}

describe('the route table', () => {
  const routes = table(
    { pathPrefix: '/' },
    { pathPrefix: '/api' },
    { path: '/api/status', methods: 'GET' },
    { host: 'a.example', pathPattern: '/u/:id' },
    { host: '*.example', pathPrefix: '/u' },
    { pathPrefix: '/api', headers: { 'X-Beta': 'on' } }
  )

  it.each([
    ['GET h/', 'r0'],
    ['GET h/api/x', 'r1'],
    ['GET h/api/status', 'r2'],
    ['POST h/api/status', 'r1'],
    ['GET a.example/u/1', 'r3'],
    ['GET A.EXAMPLE./u/1', 'r3'],
    ['GET a.example/u/1/2', 'r4'],
    ['GET b.a.example/u/1', 'r4'],
    ['GET a.example/api', 'r1']
  ])('%s goes to %s', (text, name) => expect(routes.match(request(text))?.route.name).toBe(name))

  it('looks at headers, any of several values', () => {
    expect(routes.match(request('GET h/api/x', [['x-beta', 'off'], ['x-beta', 'on']]))?.route.name).toBe('r5')
    expect(routes.match(request('GET h/api/x', [['x-beta', 'onn']]))?.route.name).toBe('r1')
  })

  it('gives parameters', () => {
    expect(routes.match(request('GET a.example/u/a%20b'))?.params).toEqual({ id: 'a%20b' })
  })

  it('explains each step', () => {
    const verdicts = table(
      { path: '/a', methods: ['GET', 'HEAD'] },
      { path: '/a', headers: { x: { present: true } } },
      { path: '/a' }
    ).explain(request('POST h/a'))
    expect(verdicts).toEqual([
      {
        route: 'r0',
        place: 'routes.yaml:1',
        condition: 'any host, exact /a',
        mismatch: 'method POST is not GET or HEAD'
      },
      { route: 'r1', place: 'routes.yaml:2', condition: 'any host, exact /a', mismatch: 'no header x present' },
      { route: 'r2', place: 'routes.yaml:3', condition: 'any host, exact /a', mismatch: undefined }
    ])
    expect(table({ host: 'x' }).explain(request('GET h/'))[0].mismatch).toBe('host h is not x')
    expect(table({ path: '/b' }).explain(request('GET h/'))[0].mismatch).toBe('path / does not fit exact /b')
  })

  it('gives every request to the most specific route that fits, as trying them all would', () => {
    const segment = fc.constantFrom('a', 'b', '1', '')
    const target = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
    const condition = fc.oneof(
      target.map((path) => ({ path })),
      target.map((pathPrefix) => ({ pathPrefix })),
      fc.array(fc.constantFrom('a', ':x', ':y(\\d)', 'b'), { minLength: 1, maxLength: 3 })
        .filter(
          (parts) => new Set(parts.filter((part) => part[0] === ':')).size === parts.filter(
            (part) => part[0] === ':'
          ).length
        )
        .map((parts) => ({ pathPattern: `/${parts.join('/')}` }))
    )
    const extra = fc.record(
      {
        host: fc.constantFrom('h', '*.h', 'w.h'),
        methods: fc.constantFrom(['GET'], ['POST']),
        headers: fc.constant({ x: '1' })
      },
      { requiredKeys: [] }
    )
    const match = fc.tuple(condition, extra).map(([a, b]) => ({ ...a, ...b }))
    const asked = fc.record({
      method: fc.constantFrom('GET', 'POST'), host: fc.constantFrom('h', 'w.h', 'z.w.h', 'other'), path: target,
      fields: fc.constantFrom<[string, string][]>([], [['x', '1']])
    })
    fc.assert(
      fc.property(fc.array(match, { maxLength: 8 }), asked, (matches, wanted) => {
        const routes = routesOf([
          ...matches.map((each, index) => ({ name: `r${index}`, match: each, upstreams })),
          { name: 'last', match: { path: '/none' }, upstreams }
        ])
        const fitting = orderRoutes(routes).filter(
          (entry) =>
            entry.host.match(wanted.host) && entry.path.match(pathSegments(wanted.path)) !== undefined &&
            (entry.methods?.includes(wanted.method) ?? true) && entry.headers.every((each) => each.match(wanted.fields))
        )
        const found = new RouteTable(orderRoutes(routes)).match(wanted)
        // The first of those that no other one beats; order in the files breaks ties.
        const best = fitting.find((entry) => fitting.every((other) => compareEntries(entry, other) <= 0))
        expect(found?.route.name).toBe(best?.route.name)
      }),
      { numRuns: 500 }
    )
  })
})
