import { parseList } from 'structured-headers'
import type { Token } from 'structured-headers'
import { describe, expect, it } from 'vitest'
import ipaddr from 'ipaddr.js'
import { errorContent } from '../../../src/http/error-answer.js'
import { endToEndFields, hasNoContent, responseFields, trailerFields } from '../../../src/http/fields.js'
import { addForwarding, clientAddress, isTrusted, Neighbour } from '../../../src/http/forwarded.js'
import type { ForwardedOptions, Network } from '../../../src/http/forwarded.js'
import { proxyStatus } from '../../../src/http/proxy-status.js'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'

describe('fields between hops', () => {
  it('lose what belongs to the connection, and what Connection lists', () => {
    const fields: HeaderList = [
      [
        'connection',
        'keep-alive, X-Secret'
      ], ['connection', 'x-more'], ['x-secret', '1'], ['x-more', '2'], ['keep-alive', 'timeout=5'],
      ['proxy-connection', 'close'], ['transfer-encoding', 'chunked'], ['upgrade', 'h2c'], ['alt-svc', 'h3=":443"'],
      ['proxy-authorization', 'Basic x'], ['te', 'trailers'], ['x-kept', '3']
    ]
    expect(endToEndFields(fields)).toEqual([['te', 'trailers'], ['x-kept', '3']])
    expect(endToEndFields([['te', 'gzip']])).toEqual([])
  })

  it('of a response are in lower case, and whole or not there', () => {
    const raw = ['Content-Type', 'text/plain', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Connection', 'close, X-Hop', 'X-Hop', '1',
      'X Bad', '1', 'X-Bad', 'a\0b', 'Transfer-Encoding', 'chunked', 'TE', 'trailers', 'X-Latin', 'caf\xe9']
    expect(responseFields(raw.map((text) => Buffer.from(text, 'latin1')))).toEqual([
      ['content-type', 'text/plain'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-latin', 'caf\xe9']
    ])
  })

  it('after the content are few', () => {
    const fields: HeaderList = [
      ['Server-Timing', 'x'],
      ['content-length', '1'],
      ['transfer-encoding', 'x'],
      [':status', '200'],
      ['grpc-status', '0']
    ]
    expect(trailerFields(fields)).toEqual([['server-timing', 'x'], ['grpc-status', '0']])
    // What frames the message, routes it, says who may do what or how to read it (RFC 9110 section 6.5.1).
    const forbidden = ['content-length', 'host', 'cache-control', 'expect', 'authorization', 'set-cookie', 'cookie',
      'content-encoding', 'content-type', 'content-range', 'trailer', 'te', 'connection', 'keep-alive', 'proxy-authenticate']
    expect(trailerFields(forbidden.map((name) => [name, '1']))).toEqual([])
  })

  it.each([['HEAD', 200, true], ['GET', 204, true], ['GET', 304, true], ['GET', 200, false], ['POST', 500, false]])(
    '%s %i has no content: %s', (method, status, expected) => expect(hasNoContent(method, status)).toBe(expected)
  )
})

const none: ForwardedOptions = { xForwarded: true, forwarded: true, via: true }
const at = (address: string, networks: readonly Network[] = []): Neighbour => new Neighbour({ address, port: 5 }, networks)
const received = { peer: at('192.0.2.7'), scheme: 'https', authority: 'h:443', version: 'Q036' }

describe('forwarding fields', () => {
  const forged: HeaderList = [['x-forwarded-for', '1.1.1.1'], [
    'x-forwarded-proto',
    'gopher'
  ], ['x-forwarded-port', '1'], ['x-real-ip', '2.2.2.2'],
    ['forwarded', 'for=1.1.1.1'], ['x', 'y']]

  it('of a stranger are replaced', () => {
    expect(addForwarding([...forged], received, none, 'gate')).toEqual([
      ['x', 'y'], ['x-forwarded-for', '192.0.2.7'], ['x-forwarded-proto', 'https'], ['x-forwarded-host', 'h:443'],
      ['forwarded', 'for=192.0.2.7;host="h:443";proto=https'], ['via', 'QUIC/Q036 gate']
    ])
  })

  it('of a trusted proxy are extended', () => {
    const peer = at('192.0.2.7', [ipaddr.parseCIDR('192.0.2.0/24')])
    const fields: HeaderList = [
      ['x-forwarded-for', '1.1.1.1'],
      ['x-forwarded-for', '3.3.3.3'],
      ['x-forwarded-proto', 'http'],
      ['forwarded', 'for=1.1.1.1'],
      ['via', '1.1 a']
    ]
    expect(addForwarding(fields, { ...received, peer }, none, 'gate')).toEqual([
      ['x-forwarded-for', '1.1.1.1, 3.3.3.3, 192.0.2.7'], ['x-forwarded-proto', 'http'], ['x-forwarded-host', 'h:443'],
      ['forwarded', 'for=1.1.1.1, for=192.0.2.7;host="h:443";proto=https'], ['via', '1.1 a, QUIC/Q036 gate']
    ])
  })

  it('quote IPv6, and show IPv4 as such', () => {
    const of = (address: string): string => addForwarding(
      [],
      { ...received, peer: at(address), authority: 'h' },
      { ...none, xForwarded: false, via: false },
      'g'
    )[0][1]
    expect(of('2001:db8::1')).toBe('for="[2001:db8::1]";host=h;proto=https')
    expect(of('::ffff:192.0.2.1')).toBe('for=192.0.2.1;host=h;proto=https')
  })

  it('can be turned off, and then a stranger\'s are still gone', () => {
    expect(addForwarding(
      [...forged],
      received,
      { ...none, xForwarded: false, forwarded: false, via: false },
      'g'
    )).toEqual([['x', 'y']])
  })

  it('name the client as far as trust reaches', () => {
    const networks = [ipaddr.parseCIDR('10.0.0.0/8')]
    const client = (peer: string, ...chain: string[]): string => clientAddress(at(peer, networks), chain, networks)
    expect(client('10.0.0.1', '9.9.9.9, 8.8.8.8', '10.0.0.2')).toBe('8.8.8.8')
    expect(client('9.9.9.9', '1.2.3.4')).toBe('9.9.9.9')
    expect(client('10.0.0.1', 'junk')).toBe('10.0.0.1')
    expect(client('10.0.0.1')).toBe('10.0.0.1')
    expect(client('10.0.0.1', '10.0.0.2, 10.0.0.3')).toBe('10.0.0.2')
    expect(at('::ffff:10.1.1.1', networks)).toMatchObject({ address: '10.1.1.1', label: '10.1.1.1:5', trusted: true })
    expect(at('fe80::1%eth0', networks)).toMatchObject({ address: 'fe80::1', label: '[fe80::1]:5', trusted: false })
    expect(isTrusted('::ffff:10.1.1.1', networks)).toBe(true)
    expect(isTrusted('fd00::1', networks)).toBe(false)
  })
})

describe('Proxy-Status', () => {
  it('parses back to what was said', () => {
    const value = proxyStatus(
      {
        name: 'quicgate',
        error: 'connection_refused',
        details: 'it said "no"\n\u00e9',
        nextHop: '127.0.0.1:9000',
        receivedStatus: 500
      },
      'origin; error=http_response_timeout'
    )
    const [origin, [name, parameters]] = parseList(value) as [unknown, [Token, Map<string, unknown>]]
    expect(origin).toBeDefined()
    expect(name.toString()).toBe('quicgate')
    expect(Object.fromEntries(parameters)).toMatchObject({
      'next-hop': '127.0.0.1:9000',
      'received-status': 500,
      details: 'it said "no"??'
    })
    expect(String(parameters.get('error'))).toBe('connection_refused')
    expect(value).toContain('quicgate; error=connection_refused;'.replace('; ', ';'))
  })

  it('quotes a name that is no token', () => {
    expect(parseList(proxyStatus({ name: '1 gate', error: 'dns_error' }))[0][0]).toBe('1 gate')
  })
})

describe('the body of an error', () => {
  const answer = { status: 502, detail: 'x <said> "no"', code: 'connection_refused' }

  it.each([
    [undefined, 'text/plain; charset=utf-8'],
    ['*/*', 'text/plain; charset=utf-8'],
    ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text/html; charset=utf-8'],
    ['application/json', 'application/problem+json'],
    ['application/problem+json, text/html;q=0.5', 'application/problem+json'],
    ['text/*;q=0.5, application/*', 'application/problem+json'],
    ['image/png', 'text/plain; charset=utf-8'],
    ['text/html;q=0, */*', 'text/plain; charset=utf-8'],
    ['text/html;q=nonsense', 'text/plain; charset=utf-8']
  ])('for Accept %s is %s', (accept, type) => {
    const { headers, body } = errorContent(answer, accept)
    expect(headers).toContainEqual(['content-type', type])
    expect(headers).toContainEqual(['content-length', String(body.length)])
    expect(headers).toContainEqual(['cache-control', 'no-store'])
  })

  it('escapes HTML and is valid JSON', () => {
    expect(errorContent(answer, 'text/html').body.toString()).toContain('x &lt;said&gt; &quot;no&quot;')
    expect(JSON.parse(errorContent(answer, 'application/json').body.toString())).toEqual({
      type: 'urn:quicgate:connection_refused', title: 'Bad Gateway', status: 502, detail: answer.detail
    })
  })
})
