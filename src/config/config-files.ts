/** The files that a configuration consists of: read from the disk, and kept for processes that are to have the same. */
import { readdirSync, readFileSync, statSync } from 'node:fs'

/** What was read, by path: contents of files, names in directories. */
export interface FileSnapshot {
  readonly contents: ReadonlyMap<string, Uint8Array>
  readonly directories: ReadonlyMap<string, readonly string[]>
}

function missing(path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${path} was not there`), { code: 'ENOENT', path })
}

/** Reads files and remembers them. */
export class ConfigFiles {
  private readonly contents = new Map<string, Uint8Array>()
  private readonly directories = new Map<string, readonly string[]>()
  private readonly frozen: boolean

  /** @param snapshot what {@link snapshot} gave elsewhere: the disk is not looked at then */
  constructor(snapshot?: FileSnapshot) {
    this.frozen = snapshot !== undefined
    for (const [file, bytes] of snapshot?.contents ?? []) this.contents.set(file, bytes)
    for (const [directory, names] of snapshot?.directories ?? []) this.directories.set(directory, names)
  }

  /** The content of a file. @throws the system's error */
  read(file: string): Buffer {
    const known = this.contents.get(file)
    if (known !== undefined) return Buffer.from(known)
    if (this.frozen) throw missing(file)
    const bytes = readFileSync(file)
    this.contents.set(file, bytes)
    return bytes
  }

  /** The names in a directory. @throws the system's error */
  list(directory: string): readonly string[] {
    const known = this.directories.get(directory)
    if (known !== undefined) return known
    if (this.frozen) throw missing(directory)
    const names = readdirSync(directory)
    this.directories.set(directory, names)
    return names
  }

  /** Whether a path is a directory and no file. @throws the system's error if it is neither */
  isDirectory(path: string): boolean {
    if (this.directories.has(path) || this.contents.has(path)) return this.directories.has(path)
    if (this.frozen) throw missing(path)
    return statSync(path).isDirectory()
  }

  /** Whether a file is there. */
  exists(file: string): boolean {
    return this.contents.has(file) || (!this.frozen && statSync(file, { throwIfNoEntry: false }) !== undefined)
  }

  /** What was read so far. */
  snapshot(): FileSnapshot {
    return { contents: this.contents, directories: this.directories }
  }
}
