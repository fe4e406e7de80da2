import { InvalidArgumentError } from 'commander'
import { describe, expect, it } from 'vitest'
import {
  collectHeader,
  parseConnect,
  parseConnectionOptions,
  parseDuration,
  parseHttpsUrl,
  parseInteger,
  parseListen
} from '../../../src/cli/arguments.js'
import { parseVersions } from '../../../src/cli/versions.js'

function refusal(parse: () => unknown): string {
  try {
    parse()
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgumentError)
    return (error as Error).message
  }
  return 'accepted'
}

describe('connection options', () => {
  it('are tags of up to four characters', () => {
    expect(parseConnectionOptions('SREJ')).toEqual(['SREJ'])
    expect(parseConnectionOptions('SREJ, 5RTO,A')).toEqual(['SREJ', '5RTO', 'A'])
    for (const text of ['', 'SREJX', 'A,,B', 'Ä', Array(33).fill('A').join()]) {
      expect(refusal(() => parseConnectionOptions(text))).toMatch(/Expected tags of up to four characters/)
    }
  })
})

describe('addresses', () => {
  it('takes names, IPv4 and IPv6', () => {
    expect(parseListen('127.0.0.1:0')).toEqual({ host: '127.0.0.1', port: 0 })
    expect(parseListen('[::1]:8080')).toEqual({ host: '::1', port: 8080 })
    expect(parseConnect('gateway.example:443')).toEqual({ host: 'gateway.example', port: 443 })
  })

  it.each(['8080', 'host', 'host:', '::1:8080', '[x]:1', 'a:65536', 'a b:1', 'http://x:1'])('refuses %s', (text) => {
    expect(refusal(() => parseListen(text))).toMatch(/Expected HOST:PORT/)
  })

  it('does not connect to port 0', () => {
    expect(refusal(() => parseConnect('a:0'))).toMatch(/port from 1/)
  })
})

describe('other values', () => {
  it('times', () => {
    expect(['10', '1.5', '500ms', '2m'].map(parseDuration)).toEqual([10_000, 1500, 500, 120_000])
    const wrong = ['', '0', '-1s', 'soon', '2d']
    for (const text of wrong) expect(refusal(() => parseDuration(text))).toMatch(/Expected a time/)
  })

  it('numbers', () => {
    expect(parseInteger(1, 10)('10')).toBe(10)
    const wrong = ['0', '11', '1.5', '1e1', '', ' 1']
    for (const text of wrong) expect(refusal(() => parseInteger(1, 10)(text))).toMatch(/from 1 to 10/)
  })

  it('URLs', () => {
    expect(parseHttpsUrl('https://a:1/b?c').href).toBe('https://a:1/b?c')
    const wrong = ['http://a/', 'a/b', 'https://', 'https://u:p@a/']
    for (const text of wrong) expect(refusal(() => parseHttpsUrl(text))).toMatch(/https URL/)
  })

  it('headers', () => {
    expect(collectHeader('X-A:  b: c ', [['y', 'z']])).toEqual([['y', 'z'], ['x-a', 'b: c']])
    const wrong = ['none', ': v', 'a b: c', 'a: b\r\nc: d']
    for (const text of wrong) expect(refusal(() => collectHeader(text))).not.toBe('accepted')
  })

  it('versions', () => {
    expect(parseVersions('q036, 35').map((version) => version.label)).toEqual(['Q036', 'Q035'])
    expect(refusal(() => parseVersions('Q001'))).toMatch(/Expected one or several of Q\d{3}/)
  })
})
