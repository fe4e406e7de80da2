/**
 * Turns what zod says about a value into sentences for the person who wrote the file.
 */
import type { z } from 'zod'
import type { ConfigProblem } from './config-error.js'
import { suggestion } from './suggest.js'
import type { ValuePath, YamlSource } from './yaml-source.js'

type Issue = z.core.$ZodIssue

/** One {@link ConfigProblem} for each issue, at the line and column of the part it is about. */
export function problemsOf(source: YamlSource, schema: z.ZodType, issues: readonly Issue[]): ConfigProblem[] {
  return issues.flatMap((issue) => explain(source, schema, issue, issue.path))
}

/** `listeners[0].address` for `['listeners', 0, 'address']`; empty for the root. */
export function dotted(path: ValuePath): string {
  let text = ''
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`
    else text += text === '' ? String(part) : `.${String(part)}`
  }
  return text
}

function explain(source: YamlSource, schema: z.ZodType, issue: Issue, path: ValuePath): ConfigProblem[] {
  const value = valueAt(source.value, path)
  if (issue.code === 'invalid_union') {
    const branch = closestBranch(issue.errors, value)
    if (branch !== undefined) return branch.flatMap((inner) => explain(source, schema, inner, [...path, ...inner.path]))
  }
  if (issue.code === 'invalid_key') {
    return issue.issues.map((inner) => source.problem(path, `${dotted(path)}: ${inner.message}`, 'key'))
  }
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, path)
    return issue.keys.map((key) => {
      const message = `unknown key "${key}"${within(path)}; ${suggestion(key, known)}`
      return source.problem([...path, key], message, 'key')
    })
  }
  if (value === undefined && path.length > 0) {
    const message = `"${String(path.at(-1))}" is missing${within(path.slice(0, -1))}; ${expectation(issue)}`
    return [source.problem(path.slice(0, -1), message)]
  }
  const subject = path.length === 0 ? '' : `${dotted(path)}: `
  return [source.problem(path, `${subject}${sentence(issue, value)}`)]
}

function within(path: ValuePath): string {
  return path.length === 0 ? '' : ` in ${dotted(path)}`
}

/** What was expected, and what is there instead. */
function sentence(issue: Issue, value: unknown): string {
  switch (issue.code) {
    case 'custom':
      return issue.message
    case 'invalid_value':
      if (typeof value === 'string') {
        return `"${value}" is not allowed here; ${suggestion(value, issue.values.map(String))}`
      }
      return `${expectation(issue)}, not ${show(value)}`
    case 'too_small':
      if (issue.origin === 'array') return `expected at least ${issue.minimum} entr${issue.minimum === 1 ? 'y' : 'ies'}`
      return issue.origin === 'string' ? 'must not be empty' : `must be at least ${issue.minimum}, not ${show(value)}`
    case 'too_big':
      return `must be at most ${issue.maximum}, not ${show(value)}`
    default:
      return `${expectation(issue)}, not ${show(value)}`
  }
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      if (!issue.message.startsWith('Invalid input')) return issue.message
      return `expected ${typeNames[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `expected ${issue.values.map((value) => `"${String(value)}"`).join(' or ')}`
    default:
      return issue.message === 'Invalid input' ? 'expected another kind of value' : issue.message
  }
}

const typeNames: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping (key: value lines)',
  record: 'a mapping (key: value lines)',
  array: 'a list (lines that begin with "- ")'
}

/** A value as a person would name it. */
function show(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  return typeof value === 'string' ? `the text "${value}"` : `${String(value)}`
}

/**
 * Of a union's alternatives the one that fits best what was written, undefined if none has the right kind of value.
 * Where even that one has unknown keys, only these are told of: what is missing follows from them.
 */
function closestBranch(branches: readonly (readonly Issue[])[], value: unknown): readonly Issue[] | undefined {
  if (value === undefined) return undefined
  const isOtherKind = ({ path, code }: Issue): boolean =>
    path.length === 0 && (code === 'invalid_type' || code === 'invalid_union')
  const fitting = branches.filter((issues) => !issues.some(isOtherKind))
  const strangers = (issues: readonly Issue[]): Issue[] => issues.filter(({ code }) => code === 'unrecognized_keys')
  const best = fitting.sort((a, b) => strangers(a).length - strangers(b).length || a.length - b.length)[0]
  if (best === undefined) return undefined
  return strangers(best).length > 0 ? strangers(best) : best
}

function valueAt(root: unknown, path: ValuePath): unknown {
  let value = root
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = (value as Record<PropertyKey, unknown>)[part]
  }
  return value
}

interface Definition {
  readonly type: string
  readonly shape?: Record<string, z.ZodType>
  readonly innerType?: z.ZodType
  readonly in?: z.ZodType
  readonly element?: z.ZodType
  readonly valueType?: z.ZodType
  readonly options?: readonly z.ZodType[]
}

/** The keys that a mapping at `path` may have, found by walking the schema. */
function keysAt(schema: z.ZodType, path: ValuePath): string[] {
  const definition = schema._zod.def as unknown as Definition
  if (definition.options !== undefined) return definition.options.flatMap((option) => keysAt(option, path))
  const inner = definition.innerType ?? definition.in
  if (inner !== undefined) return keysAt(inner, path)
  if (path.length === 0) return Object.keys(definition.shape ?? {})
  const next = definition.shape?.[String(path[0])] ?? definition.element ?? definition.valueType
  return next === undefined ? [] : keysAt(next, path.slice(1))
}
