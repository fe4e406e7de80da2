/**
 * Finds the file that a request path names below a directory, and nothing outside of it.
 */
import { constants } from 'node:fs'
import type { Stats } from 'node:fs'
import { open, realpath, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join, sep } from 'node:path'

/** An open regular file; the receiver closes it. */
export interface FoundFile {
  readonly kind: 'file'
  readonly handle: FileHandle
  readonly stats: Stats
  /** Its name on disk, for the content type. */
  readonly name: string
}

/** A directory with an index file that was asked for without the slash at the end. */
export interface FoundDirectory {
  readonly kind: 'redirect'
  /** The path to send the client to. */
  readonly location: string
}

/** Names such as `.git` are never served; `.well-known` (RFC 8615) is the exception. */
function isHidden(segment: string): boolean {
  return segment.startsWith('.') && segment !== '.well-known'
}

/**
 * The path segments of a `:path` without its query, percent-decoded; undefined if it is not an absolute path, has a
 * broken escape, or a segment that may never be served (`..`, hidden names, a slash or NUL in disguise).
 */
export function safeSegments(path: string): string[] | undefined {
  const query = path.search(/[?#]/)
  const plain = query < 0 ? path : path.slice(0, query)
  if (!plain.startsWith('/')) return undefined
  const segments: string[] = []
  for (const raw of plain.split('/')) {
    if (raw === '') continue
    let segment: string
    try {
      segment = decodeURIComponent(raw)
    } catch {
      return undefined
    }
    if (isHidden(segment) || /[/\\\0]/.test(segment)) return undefined
    segments.push(segment)
  }
  return segments
}

/** A directory whose files may be served. Symbolic links are followed as long as they stay inside. */
export class FileRoot {
  private constructor(
    /** The directory with every link in its own path resolved. */
    private readonly directory: string
  ) {}

  /** Rejects with ENOENT or ENOTDIR if `directory` is none. */
  static async open(directory: string): Promise<FileRoot> {
    const resolved = await realpath(directory)
    if (!(await stat(resolved)).isDirectory()) {
      throw Object.assign(new Error(`ENOTDIR: ${directory}`), { code: 'ENOTDIR', path: directory })
    }
    return new FileRoot(resolved)
  }

  /** What the request path names; undefined for everything that is to be answered with 404. */
  async find(path: string): Promise<FoundFile | FoundDirectory | undefined> {
    const segments = safeSegments(path)
    if (segments === undefined) return undefined
    try {
      const wanted = await this.inside(join(this.directory, ...segments))
      if (wanted === undefined) return undefined
      const [plain, query] = splitQuery(path)
      if (!(await stat(wanted)).isDirectory()) return plain.endsWith('/') ? undefined : await openFile(wanted)
      const index = await this.inside(join(wanted, 'index.html'))
      if (index === undefined) return undefined
      if (!plain.endsWith('/')) return { kind: 'redirect', location: `${plain.replace(/^\/+/, '/')}/${query}` }
      return await openFile(index)
    } catch (error) {
      if (notThere.has((error as NodeJS.ErrnoException).code ?? '')) return undefined
      throw error
    }
  }

  /** The real path, or undefined if links lead out of the directory or to a hidden name. */
  private async inside(path: string): Promise<string | undefined> {
    const real = await realpath(path)
    if (real === this.directory) return real
    const prefix = this.directory.endsWith(sep) ? this.directory : this.directory + sep
    if (!real.startsWith(prefix)) return undefined
    return real.slice(prefix.length).split(sep).some(isHidden) ? undefined : real
  }
}

const notThere = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'ENAMETOOLONG', 'EINVAL'])

function splitQuery(path: string): [plain: string, query: string] {
  const at = path.search(/[?#]/)
  return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at)]
}

/** Opens a regular file; non-blocking, so that a named pipe cannot hang the open. */
async function openFile(path: string): Promise<FoundFile | undefined> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  const stats = await handle.stat()
  if (stats.isFile()) return { kind: 'file', handle, stats, name: path }
  await handle.close()
  return undefined
}
