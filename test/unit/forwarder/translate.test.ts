import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { requestTrailers, responseToLocal, translateRequest } from '../../../src/forwarder/translate.js'
import type { TranslatedRequest } from '../../../src/forwarder/translate.js'

const options = { authority: undefined, fallbackAuthority: 'gateway.example', name: 'fwd' }

function request(method: string, rawHeaders: string[], httpVersion = '1.1'): IncomingMessage {
  const headers: Record<string, string> = {}
  for (let i = 0; i < rawHeaders.length; i += 2) headers[rawHeaders[i]!.toLowerCase()] = rawHeaders[i + 1]!
  return { method, rawHeaders, headers, httpVersion } as unknown as IncomingMessage
}

function translate(method: string, url: string, rawHeaders: string[], o = {}): TranslatedRequest {
  const result = translateRequest(request(method, rawHeaders), url, { ...options, ...o })
  if (typeof result === 'string') throw new Error(result)
  return result
}

describe('translateRequest', () => {
  it('takes origin form, with Host as authority', () => {
    const raw = ['Host', 'www.example:8080', 'Accept', '*/*', 'X-Two', '1', 'x-two', '2']
    expect(translate('GET', '/a?b=c', raw)).toEqual({
      headers: [
        [':method', 'GET'],
        [':authority', 'www.example:8080'],
        [':scheme', 'https'],
        [':path', '/a?b=c'],
        ['accept', '*/*'],
        ['x-two', '1'],
        ['x-two', '2'],
        ['via', '1.1 fwd']
      ],
      authority: 'www.example:8080',
      path: '/a?b=c',
      hasBody: false
    })
  })

  it.each([
    ['http://any.host/x?y', 'GET', 'http', 'any.host', '/x?y'],
    ['HTTP://any.host:81', 'GET', 'http', 'any.host:81', '/'],
    ['https://any.host?q=1', 'GET', 'https', 'any.host', '/?q=1'],
    ['http://any.host', 'OPTIONS', 'http', 'any.host', '*'],
    ['http://[::1]:8080/x#frag', 'GET', 'http', '[::1]:8080', '/x'],
    ['*', 'OPTIONS', 'https', 'from.host', '*'],
    ['/x#frag', 'GET', 'https', 'from.host', '/x']
  ])('target %s of %s', (url, method, scheme, authority, path) => {
    const { headers } = translate(method, url, ['Host', 'from.host'])
    expect(headers.slice(0, 4)).toEqual([
      [':method', method],
      [':authority', authority],
      [':scheme', scheme],
      [':path', path]
    ])
  })

  it('uses the fixed authority for origin form only, and the gateway where there is no Host', () => {
    const fixed = { authority: 'fixed.example' }
    expect(translate('GET', '/', ['Host', 'a'], fixed).authority).toBe('fixed.example')
    expect(translate('GET', 'http://b/', ['Host', 'a'], fixed).authority).toBe('b')
    expect(translate('GET', '/', []).authority).toBe('gateway.example')
  })

  it('leaves out what belongs to the connection, and extends Via', () => {
    const raw = [
      ...['Host', 'h', 'Connection', 'keep-alive, X-Mine', 'X-Mine', 'no', 'Keep-Alive', '1', 'Upgrade', 'h2c'],
      ...['Proxy-Connection', 'keep-alive', 'Proxy-Authorization', 'secret', 'TE', 'trailers', 'Via', '1.0 a'],
      ...['Expect', '100-continue', 'X-Kept', 'yes']
    ]
    expect(translate('GET', '/', raw).headers.slice(4)).toEqual([
      ['te', 'trailers'],
      ['x-kept', 'yes'],
      ['via', '1.0 a, 1.1 fwd']
    ])
  })

  it('knows whether content follows', () => {
    expect(translate('POST', '/', ['Host', 'h', 'Content-Length', '5']).hasBody).toBe(true)
    expect(translate('POST', '/', ['Host', 'h', 'Transfer-Encoding', 'Chunked']).hasBody).toBe(true)
    expect(translate('POST', '/', ['Host', 'h', 'Content-Length', '0']).hasBody).toBe(false)
    expect(translate('GET', '/', ['Host', 'h']).hasBody).toBe(false)
  })

  it.each([
    ['ftp://any.host/', []],
    ['http:///x', []],
    ['http://user:secret@host/x', []],
    ['', []],
    ['/', ['Transfer-Encoding', 'gzip, chunked']]
  ])('refuses %j %j in words', (url, more) => {
    expect(translateRequest(request('GET', ['Host', 'h', ...more]), url, options)).toBeTypeOf('string')
  })
})

describe('responseToLocal', () => {
  const both = { length: true, trailers: true }

  it('keeps duplicates and order, adds who carried it', () => {
    const flat = responseToLocal(
      [
        [':status', '200'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['via', '1.1 gateway'],
        ['connection', 'close'],
        ['transfer-encoding', 'chunked'],
        ['x-bad', 'line\nbreak'],
        ['content-length', '3']
      ],
      both,
      'Q036',
      'fwd'
    )
    const via = ['via', '1.1 gateway, QUIC/Q036 fwd']
    expect(flat).toEqual(['set-cookie', 'a=1', 'set-cookie', 'b=2', 'content-length', '3', ...via])
  })

  it('says nothing about the body that is not so', () => {
    const neither = { length: false, trailers: false }
    const flat = responseToLocal([['content-length', '3'], ['trailer', 'x']], neither, 'Q036', 'fwd')
    expect(flat).toEqual(['via', 'QUIC/Q036 fwd'])
  })
})

describe('requestTrailers', () => {
  it('keeps what may come after the content', () => {
    expect(requestTrailers(['X-Sum', '1', 'Content-Length', '5', 'Host', 'h'])).toEqual([['x-sum', '1']])
  })
})
