import { describe, expect, it } from 'vitest'
import type { HeaderList } from '../../../src/quic/spdy/header-list.js'
import { contentTypeOf } from '../../../src/serve/content-types.js'
import { answerFile, entityTagOf } from '../../../src/serve/file-response.js'

const stats = { size: 1000, mtimeMs: Date.UTC(2024, 1, 2, 3, 4, 5) + 678 }
const etag = entityTagOf(stats)
const modified = 'Fri, 02 Feb 2024 03:04:05 GMT'

function answer(...request: HeaderList): { status: string; range: string | undefined; bytes: string } {
  const { headers, start, length } = answerFile(request, 'x.html', stats)
  const fields = new Map(headers)
  return { status: fields.get(':status')!, range: fields.get('content-range'), bytes: `${start}+${length}` }
}

describe('answerFile', () => {
  it('describes the whole file', () => {
    expect(answerFile([], '/srv/x.html', stats)).toEqual({
      headers: [
        [':status', '200'],
        ['content-type', 'text/html; charset=utf-8'],
        ['content-length', '1000'],
        ['accept-ranges', 'bytes'],
        ['etag', etag],
        ['last-modified', modified]
      ],
      start: 0,
      length: 1000
    })
  })

  it.each<[string, HeaderList, string]>([
    ['matching tag', [['if-none-match', etag]], '304'],
    ['matching tag in a list', [['if-none-match', `"a", W/${etag}`]], '304'],
    ['any tag', [['if-none-match', '*']], '304'],
    ['other tag', [['if-none-match', '"other"']], '200'],
    ['other tag wins over date', [['if-none-match', '"other"'], ['if-modified-since', modified]], '200'],
    ['same date', [['if-modified-since', modified]], '304'],
    ['earlier date', [['if-modified-since', 'Fri, 02 Feb 2024 03:04:04 GMT']], '200'],
    ['broken date', [['if-modified-since', 'soon']], '200']
  ])('condition: %s', (_name, request, status) => {
    expect(answer(...request).status).toBe(status)
  })

  it.each<[string, string, string | undefined, string]>([
    ['bytes=0-9', '206', 'bytes 0-9/1000', '0+10'],
    ['bytes=990-', '206', 'bytes 990-999/1000', '990+10'],
    ['bytes=-10', '206', 'bytes 990-999/1000', '990+10'],
    ['bytes=-5000', '206', 'bytes 0-999/1000', '0+1000'],
    ['bytes=500-9999', '206', 'bytes 500-999/1000', '500+500'],
    ['bytes=1000-', '416', 'bytes */1000', '0+0'],
    ['bytes=-0', '416', 'bytes */1000', '0+0'],
    ['bytes=9-1', '200', undefined, '0+1000'],
    ['bytes=0-1,5-6', '200', undefined, '0+1000'],
    ['bytes=-', '200', undefined, '0+1000'],
    ['lines=1-2', '200', undefined, '0+1000']
  ])('range %s', (range, status, contentRange, bytes) => {
    expect(answer(['range', range])).toEqual({ status, range: contentRange, bytes })
  })

  it('ignores the range if the file is another than if-range names', () => {
    expect(answer(['range', 'bytes=0-9'], ['if-range', etag]).status).toBe('206')
    expect(answer(['range', 'bytes=0-9'], ['if-range', modified]).status).toBe('206')
    expect(answer(['range', 'bytes=0-9'], ['if-range', '"old"']).status).toBe('200')
  })

  it('has no range of an empty file', () => {
    const { headers } = answerFile([['range', 'bytes=0-']], 'x', { size: 0, mtimeMs: 0 })
    expect(headers[0]).toEqual([':status', '416'])
  })
})

describe('contentTypeOf', () => {
  it('goes by the last ending, in any case', () => {
    expect(contentTypeOf('a.tar.GZ')).toBe('application/gzip')
    expect(contentTypeOf('README')).toBe('application/octet-stream')
    expect(contentTypeOf('x.constructor')).toBe('application/octet-stream')
  })
})
