/**
 * A YAML file as a plain value whose every part still knows its line and column.
 */
import { isAbsolute, relative } from 'node:path'
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml'
import type { Document, Node, Pair } from 'yaml'
import { ConfigError } from './config-error.js'
import { ConfigFiles } from './config-files.js'
import type { ConfigProblem } from './config-error.js'
import { substitute } from './environment.js'

/** Where in a value: keys and indexes from the root. */
export type ValuePath = readonly PropertyKey[]

/** How a file is named in messages: relative to the working directory when it lies below it. */
export function displayPath(file: string): string {
  const short = relative(process.cwd(), file)
  return short === '' || short.startsWith('..') || isAbsolute(short) ? file : short
}

/** `no such file` rather than `ENOENT`, for the failures a person meets when a file is read. */
export function readFailure(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'no such file'
    case 'EACCES':
    case 'EPERM':
      return 'permission denied'
    case 'EISDIR':
      return 'it is a directory, not a file'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}

/** One parsed YAML file, environment variables replaced. */
export class YamlSource {
  private constructor(
    /** As shown in messages. */
    readonly file: string,
    /** The plain value: mappings as objects, sequences as arrays. */
    readonly value: unknown,
    private readonly document: Document,
    private readonly lines: LineCounter
  ) {}

  /**
   * Reads and parses a file.
   * @param file path, absolute or relative to the working directory
   * @param what what the file is, for the message when it cannot be read, such as `the configuration`
   * @throws ConfigError if it cannot be read, is not YAML, or names an unset variable; with every such problem
   */
  static read(
    file: string,
    what: string,
    environment: NodeJS.ProcessEnv = process.env,
    files = new ConfigFiles()
  ): YamlSource {
    let text: string
    try {
      text = files.read(file).toString('utf8')
    } catch (error) {
      const message = `cannot read ${what}: ${readFailure(error)}; name an existing YAML file`
      throw new ConfigError([{ file: displayPath(file), line: 0, column: 0, message }])
    }
    return YamlSource.parse(text, displayPath(file), environment)
  }

  /** Parses `text` as {@link read} does; `file` only serves messages. */
  static parse(text: string, file: string, environment: NodeJS.ProcessEnv = process.env): YamlSource {
    const lines = new LineCounter()
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' })
    const problems: ConfigProblem[] = []
    const report = (offset: number, message: string): void => {
      const { line, col } = lines.linePos(offset)
      problems.push({ file, line, column: col, message })
    }
    for (const error of [...document.errors, ...document.warnings]) {
      report(error.pos[0], `not valid YAML: ${lowerFirst(error.message)}`)
    }
    if (problems.length > 0) throw new ConfigError(problems)
    replaceVariables(document, text, environment, report)
    if (problems.length > 0) throw new ConfigError(problems)
    let value: unknown
    try {
      value = document.toJS({ maxAliasCount: 100 })
    } catch (error) {
      throw new ConfigError([{ file, line: 1, column: 1, message: `not usable YAML: ${readFailure(error)}` }])
    }
    return new YamlSource(file, value, document, lines)
  }

  /** A problem at the value under `path`, or at its key; where the path ends early, at the deepest part that exists. */
  problem(path: ValuePath, message: string, where: 'key' | 'value' = 'value'): ConfigProblem {
    const { line, col } = this.lines.linePos(this.offsetOf(path, where))
    return { file: this.file, line, column: col, message }
  }

  /** The line and column, from 1, of the value under `path`. */
  position(path: ValuePath): { line: number; column: number } {
    const { line, col } = this.lines.linePos(this.offsetOf(path, 'value'))
    return { line, column: col }
  }

  private offsetOf(path: ValuePath, where: 'key' | 'value'): number {
    let node = this.document.contents as Node | null
    let offset = node?.range?.[0] ?? 0
    for (let i = 0; i < path.length; i++) {
      if (isAlias(node)) node = node.resolve(this.document) ?? null
      let next: Node | null | undefined
      if (isMap(node)) {
        const pair = node.items.find((item) => keyText(item) === String(path[i])) as Pair<Node, Node | null> | undefined
        if (pair === undefined) return offset
        const keyOffset = pair.key.range?.[0] ?? offset
        if (where === 'key' && i === path.length - 1) return keyOffset
        next = pair.value
        offset = next?.range?.[0] ?? keyOffset
      } else if (isSeq(node)) {
        next = node.items[Number(path[i])] as Node | undefined
        if (next === undefined) return offset
        offset = next?.range?.[0] ?? offset
      } else {
        return offset
      }
      node = next
    }
    return offset
  }
}

/** Replaces variables in string values, in place; a value written without quotes is then read again as YAML would. */
function replaceVariables(
  document: Document,
  text: string,
  environment: NodeJS.ProcessEnv,
  report: (offset: number, message: string) => void
): void {
  visit(document, {
    Scalar(key, node) {
      if (key === 'key' || typeof node.value !== 'string') return
      const result = substitute(node.value, environment)
      const start = node.range?.[0] ?? 0
      for (const { piece, message } of result.problems) report(Math.max(start, text.indexOf(piece, start)), message)
      node.value = result.changed && node.type === 'PLAIN' ? plainScalar(result.text) : result.text
    }
  })
}

/** The value of an unquoted scalar in YAML's core schema, as far as configuration needs it. */
function plainScalar(text: string): unknown {
  if (/^[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/.test(text)) return Number(text)
  if (/^(?:true|True|TRUE)$/.test(text)) return true
  if (/^(?:false|False|FALSE)$/.test(text)) return false
  return text === '' || /^(?:null|Null|NULL|~)$/.test(text) ? null : text
}

function keyText(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1)
}
