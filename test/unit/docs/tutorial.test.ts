/**
 * The code of docs/write-a-quic-program.md, taken out of it: it has to compile as strictly as our own, run, and print
 * what the page says.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createDevelopmentCertificates } from '../../../src/config/development-certificates.js'

interface Block {
  readonly language: string
  readonly file: string | undefined
  readonly output: string | undefined
  readonly run: boolean
  readonly text: string
}

function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\w+)(.*)\n([^]*?)^```$/gm)].map(([, language, info, text]) => ({
    language,
    file: /\bfile=(\S+)/.exec(info)?.[1],
    output: /\boutput=(\S+)/.exec(info)?.[1],
    run: /\brun\b/.test(info),
    text
  }))
}

const blocks = blocksOf(readFileSync('docs/write-a-quic-program.md', 'utf8'))
const files = blocks.filter(({ file }) => file !== undefined)
// Within the project, so that it is transformed as the tests are.
const directory = resolve(`.quicgate/tutorial-${process.pid}`)

beforeAll(async () => {
  mkdirSync(directory, { recursive: true })
  for (const { file, text } of files) writeFileSync(join(directory, file!), text)
  await createDevelopmentCertificates({ dir: join(directory, 'certs'), hosts: ['localhost'], keyType: 'ecdsa' })
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('mechanism: programs of the tutorial', () => {
  it('shows TypeScript that compiles', () => {
    const { config } = ts.readConfigFile('tsconfig.json', (path) => ts.sys.readFile(path)) as { config: object }
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd())
    const program = ts.createProgram(
      files.map(({ file }) => join(directory, file!)),
      { ...options, noEmit: true, paths: { quicgate: [resolve('src/index.ts')] } }
    )
    const ours = ts
      .getPreEmitDiagnostics(program)
      .filter(({ file }) => file === undefined || file.fileName.startsWith(directory))
      .map(({ file, start, messageText }) => {
        const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start!).line + 1
        return `${file?.fileName}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
      })
    expect(ours).toEqual([])
    expect(files.length).toBeGreaterThan(6)
  }, 120_000)

  it.each(files.filter(({ run }) => run).map(({ file }) => file!))('%s prints what it says', async (file) => {
    const printed: string[] = []
    const log = vi.spyOn(console, 'log').mockImplementation((line: unknown) => void printed.push(String(line)))
    try {
      await import(join(directory, file))
    } finally {
      log.mockRestore()
    }
    const expected = blocks.find(({ output }) => output === file)
    expect(`${printed.join('\n')}\n`).toBe(expected!.text)
  }, 60_000)

  it('says what every program prints', () => {
    const run = files.filter((block) => block.run).map(({ file }) => file)
    expect(blocks.filter(({ output }) => output !== undefined).map(({ output }) => output)).toEqual(run)
  })
})
