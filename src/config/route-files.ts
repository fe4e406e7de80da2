/** Finds and reads the route files that a gateway's configuration names. */
import { basename, dirname, join, resolve } from 'node:path'
import type { ConfigProblem } from './config-error.js'
import { ConfigFiles } from './config-files.js'
import { tryLoadYaml } from './load-yaml.js'
import { findShadowedRoutes, orderRoutes } from './route-order.js'
import type { RouteEntry } from './route-order.js'
import { routeFileSchema } from './route-schema.js'
import type { RouteDefinition } from './route-schema.js'
import { standardTimeouts } from './upstream-schema.js'
import type { Timeouts, UpstreamTarget } from './upstream-schema.js'
import { displayPath, readFailure } from './yaml-source.js'
import type { YamlSource } from './yaml-source.js'

/** One route, its timeouts filled in. */
export interface Route extends Omit<RouteDefinition, 'timeouts'> {
  readonly timeouts: Timeouts
  /** Where it is written. */
  readonly at: { readonly file: string; readonly line: number; readonly column: number }
}

/** `file:line` of a route, for messages and explanations. */
export function routePlace(route: Route): string {
  return `${route.at.file}:${route.at.line}`
}

/**
 * Expands one entry of `routes:`. `*` stands for any characters within the last part of the path.
 * @param base the directory of the file that names the pattern
 * @returns existing files in the order of their names, or why there is none
 */
export function expandPattern(pattern: string, base: string, files = new ConfigFiles()): string[] | string {
  const whole = resolve(base, pattern)
  const directory = dirname(whole)
  const name = basename(whole)
  if (/[*?[\]{}]/.test(directory)) return `"${pattern}" has a wildcard in a directory; only the file name may have "*"`
  if (!name.includes('*')) {
    if (!files.exists(whole)) return `no such file: ${displayPath(whole)}`
    return [whole]
  }
  const escaped = name.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'))
  const matcher = new RegExp(`^${escaped.join('.*')}$`)
  let names: readonly string[]
  try {
    names = files.list(directory)
  } catch (error) {
    const reason = readFailure(error).replace('file', 'directory')
    return `cannot read directory ${displayPath(directory)}: ${reason}; put route files there or correct the pattern`
  }
  const found = names.filter((entry) => matcher.test(entry) && !entry.startsWith('.')).sort()
  if (found.length === 0) return `no file matches ${displayPath(whole)}; put a route file there or correct the pattern`
  return found.map((entry) => join(directory, entry))
}

/** Reads every route file and adds what is wrong to `problems`; the routes in the order in which they are written. */
export function loadRoutes(
  main: YamlSource,
  patterns: readonly string[],
  base: string,
  defaults: Partial<Timeouts>,
  problems: ConfigProblem[],
  environment: NodeJS.ProcessEnv,
  files: ConfigFiles
): Route[] {
  const paths = new Set<string>()
  patterns.forEach((pattern, index) => {
    const found = expandPattern(pattern, base, files)
    const path = Array.isArray((main.value as { routes?: unknown }).routes) ? ['routes', index] : ['routes']
    if (typeof found === 'string') problems.push(main.problem(path, `routes: ${found}`))
    else for (const file of found) paths.add(file)
  })
  const routes: Route[] = []
  const byName = new Map<string, Route>()
  for (const file of paths) {
    const loaded = tryLoadYaml(file, routeFileSchema, problems, 'the route file', environment, files)
    loaded?.value.routes.forEach((definition, index) => {
      const { source } = loaded
      checkRewrite(source, definition, index, problems)
      const upstreams = locateAuthorities(source, definition, index, dirname(file), problems, files)
      const at = { file: source.file, ...source.position(['routes', index]) }
      const timeouts = {
        ...standardTimeouts,
        ...withoutUndefined(defaults),
        ...withoutUndefined(definition.timeouts ?? {})
      }
      const route: Route = { ...definition, upstreams, timeouts, at }
      const twin = byName.get(route.name)
      if (twin !== undefined) {
        const message = `the name "${route.name}" is taken by the route at ${routePlace(twin)}; choose another`
        problems.push(source.problem(['routes', index, 'name'], message))
      }
      byName.set(route.name, route)
      routes.push(route)
    })
  }
  return routes
}

/** Parameters that a rewrite uses have to exist in every path of the route. */
function checkRewrite(source: YamlSource, route: RouteDefinition, index: number, problems: ConfigProblem[]): void {
  const template = route.rewrite?.to
  if (template === undefined) return
  for (const [, name] of template.matchAll(/\{([^}]*)\}/g)) {
    if (route.match.paths.every((path) => path.paramNames.includes(name))) continue
    const known = [...new Set(route.match.paths.flatMap((path) => path.paramNames))]
    const hint = known.length === 0 ? 'its paths have no parameters' : `its paths have ${known.join(', ')}`
    const message = `routes[${index}].rewrite.to: {${name}} is not a parameter of every path of the route; ${hint}`
    problems.push(source.problem(['routes', index, 'rewrite', 'to'], message))
  }
}

/** Makes the paths of authorities' files absolute; they have to be readable before the first request needs them. */
function locateAuthorities(
  source: YamlSource,
  route: RouteDefinition,
  index: number,
  base: string,
  problems: ConfigProblem[],
  files: ConfigFiles
): UpstreamTarget[] {
  return route.upstreams.map((upstream, at) => {
    const { url, tls } = upstream
    if (tls === undefined) return upstream
    const path = ['routes', index, 'upstreams', at]
    if (url.startsWith('http:')) {
      const message = `"tls" is for https upstreams; remove it or write ${url.replace('http', 'https')}`
      problems.push(source.problem([...path, 'tls'], message, 'key'))
    }
    if (tls.ca === undefined) return upstream
    const ca = resolve(base, tls.ca)
    try {
      files.read(ca)
    } catch (error) {
      const message = `cannot read authorities ${displayPath(ca)}: ${readFailure(error)}`
      problems.push(source.problem([...path, 'tls', 'ca'], message))
    }
    return { url, tls: { ...tls, ca } }
  })
}

/** Sorts the routes and reports those that nothing can reach. */
export function orderAndCheck(routes: readonly Route[], problems: ConfigProblem[]): RouteEntry<Route>[] {
  const entries = orderRoutes(routes)
  for (const { route, by } of findShadowedRoutes(entries)) {
    const others = by.map((other) => `"${other.name}" (${routePlace(other)})`).join(' and ')
    const take = by.length === 1 ? 'takes' : 'take'
    const message =
      `route "${route.name}" can never match: ${others} ${take} every request it would; ` +
      'make its match narrower, put it first, or remove it'
    problems.push({ ...route.at, message })
  }
  return entries
}

function withoutUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as Partial<T>
}
