/**
 * The built program for tests that run real processes. Built once, by whichever test file comes first.
 */
import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

export const projectRoot = fileURLToPath(new URL('../../', import.meta.url))
/** The program's main file. */
export const mainFile = join(projectRoot, 'dist/cli/main.js')

const lock = join(projectRoot, 'dist', '.building')

/** When the newest source was changed, ms; a directory's own time tells of files that were removed. */
function newestSource(directory: string): number {
  let newest = statSync(directory).mtimeMs
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    newest = Math.max(newest, entry.isDirectory() ? newestSource(path) : statSync(path).mtimeMs)
  }
  return newest
}

function isFresh(): boolean {
  const built = statSync(mainFile, { throwIfNoEntry: false })
  return built !== undefined && built.mtimeMs >= newestSource(join(projectRoot, 'src'))
}

/** Builds dist/ if it is older than src/. Test files run in several processes: a directory is the lock. */
export async function ensureBuilt(): Promise<void> {
  for (let waited = 0; !isFresh(); waited += 250) {
    mkdirSync(join(projectRoot, 'dist'), { recursive: true })
    try {
      mkdirSync(lock)
    } catch {
      // Another process builds; one that was killed must not hold everybody up.
      if (waited > 120_000) rmSync(lock, { recursive: true, force: true })
      await pause(250)
      continue
    }
    try {
      await build()
    } finally {
      rmSync(lock, { recursive: true, force: true })
    }
  }
}

async function build(): Promise<void> {
  const tsc = join(projectRoot, 'node_modules/typescript/bin/tsc')
  try {
    // What does not compile must not look built.
    const args = [tsc, '-p', 'tsconfig.build.json', '--noEmitOnError']
    await promisify(execFile)(process.execPath, args, { cwd: projectRoot })
    chmodSync(mainFile, 0o755)
  } catch (error) {
    throw new Error(`the build failed:\n${(error as { stdout: string }).stdout}`)
  }
}
