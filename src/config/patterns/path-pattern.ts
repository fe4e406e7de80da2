/**
 * The language in which routes name paths: exact paths, prefixes that end at a segment boundary, and patterns with
 * `:param`, `:param(regex)` and a final `*`.
 *
 * Paths are compared segment by segment in normal form: percent-encoded unreserved characters are decoded
 * (RFC 3986 section 6.2.2.2), so that `/%61dmin` is `/admin`, and an encoded slash stays part of its segment.
 */

/** What a pattern's parameters matched, in normal form. `*` is named `*`, `*rest` is named `rest`. */
export type PathParams = Readonly<Record<string, string>>

type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'param'; readonly name: string; readonly constraint: RegExp | undefined }

/** `exact` ends where its segments end, `prefix` may go on after them, `rest` needs one more segment at least. */
type Ending = 'exact' | 'prefix' | 'rest'

const noParams: PathParams = Object.freeze({})

/** A broken pattern; the message says what is wrong and what to write instead. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

/** One path condition of a route. */
export class PathPattern {
  private constructor(
    /** As written, with its kind: `exact /a`, `prefix /a`, `pattern /a/:b`. */
    readonly description: string,
    private readonly segments: readonly Segment[],
    private readonly ending: Ending,
    private readonly restName: string
  ) {}

  /** Matches every path. */
  static readonly any = new PathPattern('any path', [], 'prefix', '*')

  /** @throws PatternError */
  static exact(text: string): PathPattern {
    return new PathPattern(`exact ${text}`, literals(text), 'exact', '')
  }

  /** `/api` and `/api/` both match `/api`, `/api/` and all below; not `/apix`. @throws PatternError */
  static prefix(text: string): PathPattern {
    const segments = literals(text)
    if (segments.at(-1)?.text === '') segments.pop()
    return new PathPattern(`prefix ${text}`, segments, 'prefix', '*')
  }

  /** `/users/:id`, `/users/:id(\d+)/photos/*`. @throws PatternError */
  static pattern(text: string): PathPattern {
    const parts = splitChecked(text)
    const segments: Segment[] = []
    const names = new Set<string>()
    let ending: Ending = 'exact'
    let restName = ''
    parts.forEach((part, index) => {
      if (part.startsWith('*')) {
        if (index !== parts.length - 1) throw new PatternError(`"${part}" must be the last segment of "${text}"`)
        ending = 'rest'
        restName = part === '*' ? '*' : part.slice(1)
        claimName(names, restName, text)
        return
      }
      segments.push(parseSegment(part, text, names))
    })
    return new PathPattern(`pattern ${text}`, segments, ending, restName)
  }

  /** How many segments a match covers before what follows a prefix or `*` begins. */
  get length(): number {
    return this.segments.length
  }

  /** Names usable in a rewrite: those of parameters, and of the final `*`. */
  get paramNames(): string[] {
    const names = this.segments.flatMap((segment) => (segment.kind === 'param' ? [segment.name] : []))
    return this.ending === 'rest' ? [...names, this.restName] : names
  }

  /** @param path segments in normal form, see {@link pathSegments}; undefined if they do not match */
  match(path: readonly string[]): PathParams | undefined {
    const { segments, ending } = this
    if (path.length < segments.length + (ending === 'rest' ? 1 : 0)) return undefined
    if (ending === 'exact' && path.length !== segments.length) return undefined
    let params: Record<string, string> | undefined
    for (let i = 0; i < segments.length; i++) {
      const segment = segments[i]!
      const text = path[i]!
      if (segment.kind === 'literal') {
        if (segment.text !== text) return undefined
      } else {
        if (text === '' || segment.constraint?.test(text) === false) return undefined
        params ??= {}
        params[segment.name] = text
      }
    }
    if (ending === 'rest') {
      params ??= {}
      params[this.restName] = path.slice(segments.length).join('/')
    }
    return params ?? noParams
  }

  /**
   * Which of two patterns is the more specific: negative if this one. Segment by segment from the left, a literal
   * comes before a constrained parameter before a free one before a final `*` before a prefix that is at its end.
   */
  compare(other: PathPattern): number {
    const length = Math.max(this.segments.length, other.segments.length) + 1
    for (let i = 0; i < length; i++) {
      const difference = this.rank(i) - other.rank(i)
      if (difference !== 0) return difference
    }
    return 0
  }

  private rank(index: number): number {
    const segment = this.segments[index]
    if (segment !== undefined) return segment.kind === 'literal' ? 1 : segment.constraint === undefined ? 3 : 2
    if (index > this.segments.length) return 0
    return this.ending === 'exact' ? 0 : this.ending === 'rest' ? 4 : 5
  }

  /** Whether every path that `other` matches is matched by this one as well. May miss cases that need regex algebra. */
  covers(other: PathPattern): boolean {
    const { segments, ending } = this
    if (other.segments.length < segments.length) return false
    if (ending === 'exact' && (other.ending !== 'exact' || other.segments.length !== segments.length)) return false
    if (ending === 'rest' && other.segments.length === segments.length && other.ending !== 'rest') return false
    return segments.every((segment, index) => coversSegment(segment, other.segments[index]!))
  }
}

function coversSegment(a: Segment, b: Segment): boolean {
  if (a.kind === 'literal') return b.kind === 'literal' && a.text === b.text
  if (b.kind === 'literal') return b.text !== '' && (a.constraint?.test(b.text) ?? true)
  return a.constraint === undefined || a.constraint.source === b.constraint?.source
}

function literals(text: string): { kind: 'literal'; text: string }[] {
  return splitChecked(text).map((part) => ({ kind: 'literal', text: part }))
}

function splitChecked(text: string): string[] {
  if (!text.startsWith('/')) throw new PatternError(`a path begins with "/": write "/${text}"`)
  if (/[?#]/.test(text)) {
    throw new PatternError(`a route matches the path only; leave out everything from "?" or "#" on`)
  }
  return pathSegments(text)
}

function parseSegment(part: string, whole: string, names: Set<string>): Segment {
  if (!part.startsWith(':')) {
    if (part.includes('*')) throw new PatternError(`"*" stands alone in the last segment of "${whole}"`)
    return { kind: 'literal', text: part }
  }
  const parts = /^:([A-Za-z_][A-Za-z0-9_]*)(?:\((.+)\))?$/.exec(part)
  if (parts === null) {
    throw new PatternError(`"${part}" is not a parameter; write :name or :name(regex) for one whole segment`)
  }
  const [, name, regex] = parts
  claimName(names, name!, whole)
  return { kind: 'param', name: name!, constraint: regex === undefined ? undefined : compileRegex(regex) }
}

function claimName(names: Set<string>, name: string, whole: string): void {
  if (names.has(name)) {
    throw new PatternError(`two parameters of "${whole}" are named "${name}"; give each its own name`)
  }
  names.add(name)
}

/** A regular expression that has to match a whole text. @throws PatternError */
export function compileRegex(source: string): RegExp {
  try {
    return new RegExp(`^(?:${source})$`)
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^Invalid regular expression: /, '') : String(error)
    throw new PatternError(`broken regular expression "${source}": ${reason.replace(`/^(?:${source})$/: `, '')}`)
  }
}

/** The segments of a path in normal form; `/a/b` gives `a`, `b`, and `/a/` gives `a` and an empty one. */
export function pathSegments(path: string): string[] {
  const normal = path.includes('%') ? path.replace(/%[0-9A-Fa-f]{2}/g, normalEscape) : path
  return normal.slice(1).split('/')
}

function normalEscape(escape: string): string {
  const character = String.fromCharCode(parseInt(escape.slice(1), 16))
  return /[A-Za-z0-9\-._~]/.test(character) ? character : escape.toUpperCase()
}
