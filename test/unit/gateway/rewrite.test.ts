import { describe, expect, it } from 'vitest'
import { changeFields, rewritePath } from '../../../src/gateway/rewrite.js'
import { routesOf } from '../../helpers/gateway-fixture.js'

/** What a route with this `rewrite` makes of a path. */
function rewritten(path: string, rewrite: object): string {
  const [route] = routesOf([{ name: 'r', upstreams: ['http://127.0.0.1:1'], rewrite }])
  return rewritePath(path, route!.rewrite, { id: '7' })
}

describe('a path', () => {
  it.each([
    ['/api/x', { stripPrefix: '/api' }, '/x'],
    ['/api/x', { stripPrefix: '/api/' }, '/x'],
    ['/api', { stripPrefix: '/api' }, '/'],
    ['/api/', { stripPrefix: '/api' }, '/'],
    ['/%61pi//x', { stripPrefix: '/api' }, '//x'],
    // At the boundary of a segment or not at all.
    ['/apix/y', { stripPrefix: '/api' }, '/apix/y'],
    ['/x/api', { stripPrefix: '/api' }, '/x/api'],
    ['/a', { stripPrefix: '/a/b' }, '/a'],
    ['/x', { addPrefix: '/base' }, '/base/x'],
    ['/x', { addPrefix: '/base/' }, '/base/x'],
    ['/x', { addPrefix: '/' }, '/x'],
    ['/x', { to: '/users/{id}/{nobody}' }, '/users/7/'],
    ['/a/a', { replace: { pattern: 'a', with: 'b' } }, '/b/b'],
    // What a replacement leaves is a path again, and no query and no second line.
    ['/a', { replace: { pattern: '^/', with: '' } }, '/a'],
    ['/a', { replace: { pattern: 'a', with: 'b?c#d e\r\nö' } }, '/b%3Fc%23d%20e%0D%0A%C3%B6'],
    ['/old/1', { stripPrefix: '/old', replace: { pattern: '^/(\\d)', with: '/n$1' }, addPrefix: '/p' }, '/p/n1']
  ])('%s by %j is %s', (path, rewrite, expected) => {
    expect(rewritten(path, rewrite)).toBe(expected)
  })

  it('stays as it is without a rewrite', () => {
    expect(rewritePath('/%61//b', undefined, {})).toBe('/%61//b')
  })
})

describe('header fields', () => {
  it('are removed, then set, then added to, and all others stay in order', () => {
    const fields: [string, string][] = [['a', '1'], ['b', '1'], ['a', '2'], ['c', '1'], ['b', '2'], ['d', '1']]
    const changes = { remove: ['a'], set: { b: '3', e: '1' }, add: { c: '2', a: '4' } }
    expect(changeFields(fields, changes)).toEqual([['c', '1'], ['d', '1'], ['b', '3'], ['e', '1'], ['c', '2'], ['a', '4']])
    expect(changeFields(fields, undefined)).toBe(fields)
    // Names of what every object has are names like any other.
    const odd: [string, string][] = [['constructor', '1']]
    expect(changeFields(odd, { remove: [], set: {}, add: {} })).toEqual(odd)
  })
})
