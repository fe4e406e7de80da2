/**
 * What the documents tell a person to write is accepted.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { projectRoot } from '../helpers/build.js'
import { makeCertificates, removeScratch, scratch } from '../helpers/chain.js'
import { quicgate } from '../helpers/programs.js'

let dir: string

beforeAll(async () => {
  dir = scratch()
  await makeCertificates(join(dir, 'certs'), 'www.example')
}, 120_000)

afterAll(() => removeScratch(dir))

/** The YAML blocks of a document that say in their first line which file they are. */
function filesIn(document: string): [name: string, text: string][] {
  const text = readFileSync(join(projectRoot, document), 'utf8')
  return [...text.matchAll(/^```yaml\n# (\S+\.yaml)\n([^`]*)^```$/gm)].map((match) => [match[1]!, match[2]!])
}

describe('the configuration in the documents', () => {
  it('is good', async () => {
    const files = [...filesIn('README.md'), ...filesIn('docs/quick-start.md')]
    expect(files.map(([name]) => name)).toEqual(['config/gateway.yaml', 'routes/site.yaml', 'routes/mine.yaml'])
    for (const [name, text] of files) {
      mkdirSync(dirname(join(dir, name)), { recursive: true })
      writeFileSync(join(dir, name), text)
    }
    const { code, stderr, stdout } = await quicgate(['gateway', '--config', 'config/gateway.yaml', '--check'], { cwd: dir })
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout.toString()).toContain('3 routes')
    const explained = await quicgate(['gateway', '--explain', 'GET https://www.example/api/users'], { cwd: dir })
    expect(explained.stdout.toString()).toMatch(/takes it +api/)
  }, 30_000)

  it('names only commands and flags that there are', async () => {
    const text = ['README.md', 'docs/quick-start.md'].map((name) => readFileSync(join(projectRoot, name), 'utf8')).join('\n')
    const used = [...text.matchAll(/^(?:npx )?quicgate ([a-z-]+)((?: [^\n#]*)?)/gm)]
    expect(used.length).toBeGreaterThan(10)
    for (const [line, command, rest] of used) {
      const { code, stdout } = await quicgate([command!, '--help'])
      expect(code, line).toBe(0)
      for (const flag of rest!.matchAll(/ (--?[a-z-]+)/g)) expect(stdout.toString(), line).toContain(flag[1]!)
    }
  }, 60_000)
})
