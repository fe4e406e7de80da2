import { describe, expect, it } from 'vitest'
import { RequestFailure } from '../../../src/client/failure.js'
import { CliError, explainError, mayColour } from '../../../src/cli/output.js'
import { ConfigError } from '../../../src/config/config-error.js'

const badConfig = new ConfigError([{ file: 'a.yaml', line: 3, column: 5, message: 'wrong' }])
const privileged = { syscall: 'listen', address: '0.0.0.0', port: 80 }

function systemError(code: string, more: object = {}): Error {
  return Object.assign(new Error(`${code}: raw words`), { code, ...more })
}

describe('explainError', () => {
  it.each<[string, unknown, RegExp, number]>([
    ['own message', new CliError('what to do'), /^error: what to do$/, 2],
    ['own exit code', new CliError('it failed', 1), /^error: it failed$/, 1],
    ['configuration', badConfig, /a\.yaml:3:5: wrong/, 2],
    [
      'request',
      new RequestFailure({ type: 'dns_error', status: 502, cause: 'no such name', remedy: 'check it' }),
      /^error: no such name: check it$/,
      1
    ],
    ['port in use', systemError('EADDRINUSE', { address: '::1', port: 80 }), /\[::1\]:80 is in use.*choose another/, 2],
    ['port not allowed', systemError('EACCES', privileged), /no permission to listen on 0\.0\.0\.0:80/, 2],
    ['file not readable', systemError('EACCES', { syscall: 'open', path: '/x' }), /read or write \/x/, 2],
    ['missing file', systemError('ENOENT', { path: '/x/y' }), /\/x\/y does not exist/, 2],
    ['name', systemError('ENOTFOUND', { hostname: 'nowhere.example' }), /cannot resolve nowhere\.example/, 2]
  ])('%s', (_name, error, text, exitCode) => {
    const explained = explainError(error, {})
    expect(explained.text).toMatch(text)
    expect(explained.exitCode).toBe(exitCode)
    expect(explained.text).not.toMatch(/^ +at /m)
  })

  it('calls the unexpected a bug, and shows its stack only when asked', () => {
    const error = new TypeError('x is undefined\nsecond line')
    const words = 'error: x is undefined (TypeError). This is a bug in quicgate.'
    const hint = 'Set QUICGATE_DEBUG=1 to see where it came from.'
    expect(explainError(error, {})).toEqual({ text: `${words}\n${hint}`, exitCode: 1 })
    expect(explainError(error, { QUICGATE_DEBUG: '1' }).text).toMatch(/^ +at /m)
    expect(explainError('text', {}).text).toContain('this is a bug')
  })
})

describe('mayColour', () => {
  it('colours terminals unless told not to', () => {
    expect(mayColour({ isTTY: true }, {})).toBe(true)
    expect(mayColour({ isTTY: false }, {})).toBe(false)
    expect(mayColour({ isTTY: true }, { NO_COLOR: '1' })).toBe(false)
    expect(mayColour({ isTTY: true }, { NO_COLOR: '' })).toBe(true)
    expect(mayColour({ isTTY: true }, { TERM: 'dumb' })).toBe(false)
  })
})
