/**
 * Builds quicgo-peer once for each state of its source. Plain JavaScript, so that the benchmarks can use it too.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const source = dirname(fileURLToPath(import.meta.url))
const run = promisify(execFile)
/** What go.mod asks for. */
const OLDEST_GO = 21

/**
 * Why the peer cannot be built here, in words; undefined if a fitting Go is installed.
 * @returns {Promise<string | undefined>}
 */
export async function missingGo() {
  try {
    const version = await goVersion()
    const minor = /go1\.(\d+)/.exec(version)?.[1]
    if (minor !== undefined && Number(minor) < OLDEST_GO) return `needs Go 1.${OLDEST_GO} or newer, found ${version}`
    return undefined
  } catch {
    return `needs Go 1.${OLDEST_GO} or newer`
  }
}

/**
 * Builds the peer unless that has been done before; modules come through the proxy that the environment names.
 * @returns {Promise<string>} path of the program
 */
export async function buildGoPeer() {
  const hash = createHash('sha256').update(await goVersion())
  for (const name of readdirSync(source).sort()) {
    if (/\.go$|^go\.(mod|sum)$/.test(name)) hash.update(name).update(readFileSync(join(source, name)))
  }
  const program = join(cacheDirectory(), `quicgo-peer-${hash.digest('hex').slice(0, 16)}`)
  if (!existsSync(program)) {
    // Under a name of its own and then renamed: test files that build at the same time must not see half a program.
    const unfinished = `${program}.${process.pid}`
    // Not the toolchain that some module asks for, but the installed one; and go.sum must be complete.
    const env = { ...process.env, GOTOOLCHAIN: 'local', GOWORK: 'off', CGO_ENABLED: '0' }
    const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false']
    try {
      await run('go', ['build', ...flags, '-o', unfinished, '.'], { cwd: source, env })
    } catch (error) {
      throw new Error(`go build of quicgo-peer failed:\n${error.stderr ?? error.message}`)
    }
    renameSync(unfinished, program)
  }
  return program
}

async function goVersion() {
  const { stdout } = await run('go', ['version'], { env: { ...process.env, GOTOOLCHAIN: 'local' } })
  return stdout.trim()
}

function cacheDirectory() {
  const inProject = join(source, '../../../node_modules/.cache/quicgate')
  try {
    mkdirSync(inProject, { recursive: true })
    return inProject
  } catch {
    const elsewhere = join(tmpdir(), `quicgate-cache-${process.getuid?.() ?? ''}`)
    mkdirSync(elsewhere, { recursive: true, mode: 0o700 })
    return elsewhere
  }
}
