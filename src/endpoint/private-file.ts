/**
 * Files that hold secrets: readable for their owner alone, and replaced as a whole, never half written.
 */
import { chmodSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'

/** The file's content, undefined if there is none. Throws the system's error if it cannot be read. */
export function readPrivateFile(file: string): Buffer | undefined {
  try {
    return readFileSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Writes beside the file (0600) and renames: readers see the old content or the new. Throws the system's error, and
 * leaves nothing behind then.
 */
export function replacePrivateFile(file: string, content: string | Uint8Array): void {
  const temporary = `${file}.${process.pid}.tmp`
  try {
    writeFileSync(temporary, content, { mode: 0o600, flush: true })
    chmodSync(temporary, 0o600)
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
