import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FileRoot, safeSegments } from '../../../src/serve/file-root.js'

let base: string
let root: FileRoot

beforeAll(async () => {
  base = mkdtempSync(join(tmpdir(), 'quicgate-root-'))
  const www = join(base, 'www')
  mkdirSync(join(www, 'dir'), { recursive: true })
  mkdirSync(join(www, 'empty'))
  mkdirSync(join(www, '.git'))
  mkdirSync(join(www, '.well-known'))
  mkdirSync(join(base, 'www-secret'))
  writeFileSync(join(base, 'outside.txt'), 'outside')
  writeFileSync(join(base, 'www-secret', 'file.txt'), 'neighbour')
  writeFileSync(join(www, 'file.txt'), 'inside')
  writeFileSync(join(www, 'a b+c.txt'), 'spaces')
  writeFileSync(join(www, 'dir', 'index.html'), '<p>index')
  writeFileSync(join(www, '.git', 'config'), 'hidden')
  writeFileSync(join(www, '.env'), 'hidden')
  writeFileSync(join(www, '.well-known', 'thing'), 'known')
  symlinkSync(join(base, 'outside.txt'), join(www, 'link-out.txt'))
  symlinkSync(join(base, 'www-secret'), join(www, 'link-neighbour'))
  symlinkSync('file.txt', join(www, 'link-in.txt'))
  symlinkSync('.env', join(www, 'link-hidden.txt'))
  symlinkSync('loop', join(www, 'loop'))
  execFileSync('mkfifo', [join(www, 'pipe')])
  root = await FileRoot.open(www)
})

afterAll(() => rmSync(base, { recursive: true, force: true }))

async function contentOf(path: string): Promise<string | undefined> {
  const found = await root.find(path)
  if (found === undefined) return undefined
  if (found.kind === 'redirect') return `-> ${found.location}`
  try {
    return await found.handle.readFile('utf8')
  } finally {
    await found.handle.close()
  }
}

describe('FileRoot', () => {
  it.each([
    ['/file.txt', 'inside'],
    ['/file.txt?query=../../etc', 'inside'],
    ['//dir///../file.txt', undefined],
    ['/a%20b+c.txt', 'spaces'],
    ['/dir/', '<p>index'],
    ['/dir', '-> /dir/'],
    ['//dir?x=1', '-> /dir/?x=1'],
    ['/dir/index.html', '<p>index'],
    ['/link-in.txt', 'inside'],
    ['/.well-known/thing', 'known'],
    ['/', undefined],
    ['/empty/', undefined],
    ['/empty', undefined],
    ['/file.txt/', undefined],
    ['/missing', undefined],
    ['/../outside.txt', undefined],
    ['/%2e%2e/outside.txt', undefined],
    ['/dir/..%2f..%2foutside.txt', undefined],
    ['/dir/..%5c..%5coutside.txt', undefined],
    ['/link-out.txt', undefined],
    ['/link-neighbour/file.txt', undefined],
    ['/../www-secret/file.txt', undefined],
    ['/.env', undefined],
    ['/%2Eenv', undefined],
    ['/.git/config', undefined],
    ['/link-hidden.txt', undefined],
    ['/loop', undefined],
    ['/pipe', undefined],
    ['/file.txt%00.html', undefined],
    ['/%E0%A4%A', undefined],
    ['file.txt', undefined],
    ['*', undefined],
    ['', undefined],
    [`/${'x'.repeat(5000)}`, undefined]
  ])('%s', async (path, content) => {
    expect(await contentOf(path)).toBe(content)
  })

  it('never leaves the directory, whatever the path', async () => {
    const names = ['dir', 'outside.txt', 'www-secret', 'link-neighbour', '.env']
    const piece = fc.constantFrom('..', '.', '%2e', '%2f', '/', '\\', '%00', ...names)
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
        const content = await contentOf(`/${pieces.join('')}`)
        expect(['inside', '<p>index', undefined]).toContain(content?.startsWith('->') ? undefined : content)
      }),
      { numRuns: 300 }
    )
  })

  it('says that the root is no directory', async () => {
    await expect(FileRoot.open(join(base, 'outside.txt'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    await expect(FileRoot.open(join(base, 'nowhere'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('safeSegments', () => {
  it('keeps names as they are', () => {
    expect(safeSegments('/a/b%20c/%C3%A9')).toEqual(['a', 'b c', 'é'])
    expect(safeSegments('/')).toEqual([])
  })
})
