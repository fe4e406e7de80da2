import { describe, expect, it } from 'vitest'
import { hostOf, parseContentLength, readRequestHead } from '../../../src/http/request-head.js'
import type { RequestHead } from '../../../src/http/request-head.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'

const base: HeaderList = [
  [':method', 'GET'],
  [':scheme', 'https'],
  [':authority', 'Example.com:443'],
  [':path', '/a?b=1']
]

/** The base with pseudo-headers replaced (undefined removes one) and regular fields appended. */
function request(pseudo: Record<string, string | undefined>, ...fields: HeaderList): HeaderList {
  const merged = { ...Object.fromEntries(base), ...pseudo }
  const kept = Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== undefined)
  return [...kept, ...fields]
}

describe('a good request', () => {
  it('is taken apart', () => {
    expect(readRequestHead(request({}, ['accept', '*/*']), true)).toEqual({
      method: 'GET',
      scheme: 'https',
      authority: 'Example.com:443',
      host: 'example.com',
      target: '/a?b=1',
      path: '/a',
      query: '?b=1',
      fields: [['accept', '*/*']],
      contentLength: undefined
    })
  })

  it('has its cookies joined, its host and expect left out, equal lengths merged', () => {
    const head = readRequestHead(
      request({ ':method': 'POST' }, ['cookie', 'a=1'], ['x', '1'], ['cookie', 'b=2'], ['host', 'Example.com:443'],
        ['expect', '100-continue'], ['content-length', '5'], ['content-length', '5'], ['te', 'trailers']),
      false
    ) as RequestHead
    expect(head.fields).toEqual([['x', '1'], ['te', 'trailers'], ['cookie', 'a=1; b=2']])
    expect(head.contentLength).toBe(5)
  })

  it('may name its host in a field alone', () => {
    expect(readRequestHead(
      request({ ':authority': undefined }, ['host', 'h']),
      true
    )).toMatchObject({ authority: 'h', host: 'h' })
  })
})

describe('a bad request', () => {
  it.each<[string, HeaderList, string, number?]>([
    ['no method', request({ ':method': undefined }), ':method is missing or not a token'],
    ['a method that is no token', request({ ':method': 'GE T' }), ':method is missing or not a token'],
    ['CONNECT', request({ ':method': 'CONNECT' }), 'this gateway carries no CONNECT tunnels', 501],
    ['OPTIONS *', request({ ':method': 'OPTIONS', ':path': '*' }), 'OPTIONS * is not passed on', 501],
    ['no scheme', request({ ':scheme': undefined }), ':scheme is missing, or neither http nor https'],
    ['another scheme', request({ ':scheme': 'ftp' }), ':scheme is missing, or neither http nor https'],
    ['no authority', request({ ':authority': undefined }), ':authority is missing or not a host with port'],
    ['user information', request({ ':authority': 'u@h' }), ':authority is missing or not a host with port'],
    ['two hosts', request({}, ['host', 'other.example']), 'host and :authority differ'],
    ['no path', request({ ':path': undefined }), ':path is missing'],
    [
      'an absolute path',
      request({ ':path': 'https://h/' }),
      ':path does not begin with /, or has octets that a URL cannot'
    ],
    [
      'a space in the path',
      request({ ':path': '/a b' }),
      ':path does not begin with /, or has octets that a URL cannot'
    ],
    [
      'a line break in the path',
      request({ ':path': '/a\r\nx: y' }),
      ':path does not begin with /, or has octets that a URL cannot'
    ],
    ['a fragment', request({ ':path': '/a#b' }), ':path does not begin with /, or has octets that a URL cannot'],
    ['a way up', request({ ':path': '/a/../b' }), ':path has a "." or ".." segment; resolve it before sending'],
    [
      'a hidden way up',
      request({ ':path': '/a/%2E%2e%2fb' }),
      ':path has a "." or ".." segment; resolve it before sending'
    ],
    [
      'a way up behind backslashes',
      request({ ':path': '/a\\..\\b' }),
      ':path has a "." or ".." segment; resolve it before sending'
    ],
    ['an unknown pseudo-header', request({ ':version': 'HTTP/1.1' }), 'unknown pseudo-header ":version"'],
    ['a response\'s pseudo-header', request({ ':status': '200' }), 'unknown pseudo-header ":status"'],
    ['a pseudo-header twice', [...base, [':path', '/b']], ':path is given twice'],
    ['a pseudo-header too late', [['accept', '*/*'], ...base], ':method comes after regular fields'],
    ['an upper-case name', request({}, ['Accept', '*/*']), '"Accept" is not a valid field name'],
    ['an empty name', request({}, ['', 'x']), '"" is not a valid field name'],
    ['a name with a space', request({}, ['a b', 'x']), '"a b" is not a valid field name'],
    ['a value with NUL', request({}, ['a', 'x\0y']), 'the value of a has octets that HTTP does not allow'],
    [
      'a value with a line break',
      request({}, ['a', 'x\r\ny: z']),
      'the value of a has octets that HTTP does not allow'
    ],
    ['a value with space at its end', request({}, ['a', 'x ']), 'the value of a has octets that HTTP does not allow'],
    ['connection', request({}, ['connection', 'close']), 'connection is specific to a connection and not allowed here'],
    [
      'transfer-encoding',
      request({}, ['transfer-encoding', 'chunked']),
      'transfer-encoding is specific to a connection and not allowed here'
    ],
    ['upgrade', request({}, ['upgrade', 'websocket']), 'upgrade is specific to a connection and not allowed here'],
    ['te other than trailers', request({}, ['te', 'gzip']), 'te may only be "trailers"'],
    ['a length that is no number', request({}, ['content-length', '-1']), 'content-length is not a number'],
    ['two lengths', request({}, ['content-length', '1'], ['content-length', '2']), 'content-length is given twice'],
    [
      'a length without content',
      request({}, ['content-length', '1']),
      'content-length is 1, but the request has no content'
    ],
    ['an underscore', request({}, ['x_a', '1']), 'the field name x_a has an underscore; use - instead']
  ])('is refused: %s', (_, headers, refused, status = 400) => {
    expect(readRequestHead(headers, true)).toEqual({ status, refused })
  })

  it('may be let through, or lose the field, where underscores are concerned', () => {
    const headers = request({}, ['x_a', '1'], ['x-b', '2'])
    expect(readRequestHead(headers, true, 'drop')).toMatchObject({ fields: [['x-b', '2']] })
    expect(readRequestHead(headers, true, 'pass')).toMatchObject({ fields: [['x_a', '1'], ['x-b', '2']] })
  })
})

describe('parts of a request', () => {
  it.each([
    ['h', 'h'], ['H.example.', 'h.example'], ['h:80', 'h'], ['[::1]:80', '::1'], ['127.0.0.1', '127.0.0.1'],
    ['', undefined], [
      'h:99999',
      undefined
    ], ['::1', undefined], ['[x]', undefined], ['h/', undefined], ['h:', undefined]
  ])('the host of %j is %s', (authority, host) => expect(hostOf(authority)).toBe(host))

  it.each([
    ['0', 0],
    ['12', 12],
    ['5, 5', 5],
    ['5, 6', undefined],
    ['', undefined],
    ['1e3', undefined],
    ['+1', undefined],
    ['9'.repeat(16), undefined]
  ])(
    'the length of %j is %s', (text, length) => expect(parseContentLength(text)).toBe(length)
  )
})
