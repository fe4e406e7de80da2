/** What a route changes in paths and header fields. */
import { pathSegments } from '../config/patterns/path-pattern.js'
import type { PathParams } from '../config/patterns/path-pattern.js'
import type { HeaderChanges, RouteDefinition } from '../config/route-schema.js'
import type { HeaderList } from '../quic/spdy/header-list.js'

/** The path to ask the upstream for. Works on the path as sent, so that what is percent-encoded stays so. */
export function rewritePath(path: string, rewrite: RouteDefinition['rewrite'], params: PathParams): string {
  if (rewrite === undefined) return path
  let result = path
  if (rewrite.stripPrefix !== undefined) result = stripPrefix(result, rewrite.stripPrefix)
  if (rewrite.to !== undefined) result = rewrite.to.replaceAll(/\{([^}]*)\}/g, (_, name: string) => params[name] ?? '')
  if (rewrite.replace !== undefined) result = usable(result.replace(rewrite.replace.pattern, rewrite.replace.with))
  if (rewrite.addPrefix !== undefined) result = rewrite.addPrefix.replace(/\/$/, '') + result
  return result
}

/** Takes whole segments off the front, compared in normal form; a path that does not begin with them stays. */
function stripPrefix(path: string, prefix: string): string {
  const wanted = pathSegments(prefix)
  if (wanted.at(-1) === '') wanted.pop()
  const segments = pathSegments(path)
  if (!wanted.every((segment, index) => segments[index] === segment)) return path
  return `/${path.split('/').slice(1 + wanted.length).join('/')}`
}

/** A replacement may leave no slash in front, or put characters in that end a path: those are percent-encoded. */
function usable(path: string): string {
  const escaped = path.replaceAll(/[^\x21-\x7e]|[?#]/g, (character) =>
    encodeURIComponent(character)
  )
  return escaped.startsWith('/') ? escaped : `/${escaped}`
}

/** Removes, then sets, then adds. Returns a new list. */
export function changeFields(fields: HeaderList, changes: HeaderChanges | undefined): HeaderList {
  if (changes === undefined) return fields
  const kept = fields.filter(([name]) => !changes.remove.includes(name) && !Object.hasOwn(changes.set, name))
  for (const [name, value] of Object.entries(changes.set)) kept.push([name, value])
  for (const [name, value] of Object.entries(changes.add)) kept.push([name, value])
  return kept
}
