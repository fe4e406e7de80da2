import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import {
  looksRecorded,
  parseRecordedHead,
  RecordedResponses,
  RecordingError
} from '../../../src/serve/recorded-responses.js'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'quicgate-recorded-'))
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

function put(path: string, content: string): void {
  const file = join(root, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
}

describe('parseRecordedHead', () => {
  it('takes CRLF and LF, lowers names, drops what belongs to a connection', () => {
    const text = 'HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nConnection: close\nX-Empty:\n\nbody\n'
    expect(parseRecordedHead(Buffer.from(text), 'f')).toEqual({
      headers: [
        [':status', '404'],
        ['content-type', 'text/html'],
        ['x-empty', '']
      ],
      length: text.indexOf('body')
    })
  })

  it.each([
    ['HTTP/1.1 200 OK\nNo colon\n\n', '"No colon" is no header line'],
    ['HTTP/1.1 twohundred\n\n', 'is no status line'],
    ['A: b\n\n', 'no status line'],
    ['HTTP/1.1 200 OK\nA: b', 'the headers do not end'],
    ['', 'the headers do not end']
  ])('refuses %j', (text, message) => {
    expect(() => parseRecordedHead(Buffer.from(text), 'the-file')).toThrow(RecordingError)
    expect(() => parseRecordedHead(Buffer.from(text), 'the-file')).toThrow(message)
  })
})

describe('RecordedResponses', () => {
  it('finds responses by authority and path exactly', async () => {
    put('www.example.com/index.html', 'HTTP/1.1 200 OK\nA: 1\n\nhello')
    put('www.example.com:4433/a/b?c=d', 'HTTP/1.1 200 OK\n\nquery')
    put('www.example.com/elsewhere', 'HTTP/1.1 302 Found\nX-Original-Url: https://other.example/moved?x=1\n\n')
    put('www.example.com/.svn/entries', 'no response at all')
    const responses = await RecordedResponses.load(root)
    expect(responses.size).toBe(3)
    const found = responses.find('www.example.com', '/index.html')!
    const file = readFileSync(found.file)
    expect(file.subarray(found.bodyStart, found.bodyStart + found.bodyLength).toString()).toBe('hello')
    expect(responses.find('www.example.com:4433', '/a/b?c=d')?.bodyLength).toBe(5)
    expect(responses.find('other.example', '/moved?x=1')?.headers[0]).toEqual([':status', '302'])
    expect(responses.find('www.example.com', '/elsewhere')).toBeUndefined()
    expect(responses.find('www.example.com', '/')).toBeUndefined()
  })

  it('names both files that record one thing', async () => {
    put('a/x', 'HTTP/1.1 200 OK\n\n')
    put('b/y', 'HTTP/1.1 200 OK\nX-Original-Url: http://a/x\n\n')
    await expect(RecordedResponses.load(root)).rejects.toThrow(/y and .*x both record a\/x/)
  })

  it('is told apart from plain files', async () => {
    expect(await looksRecorded(root)).toBe(false)
    put('www.example.com/index.html', 'HTTP/1.1 200 OK\n\nhello')
    expect(await looksRecorded(root)).toBe(true)
    put('www.example.com/plain.html', '<p>plain')
    expect(await looksRecorded(root)).toBe(false)
  })
})
