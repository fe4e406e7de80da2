/** `Link` fields of responses (RFC 8288): which resources they ask to be loaded early. */

interface Link {
  readonly target: string
  readonly parameters: ReadonlyMap<string, string>
}

/** More links than these in one response are not looked at. */
const MAX_LINKS = 64

/**
 * The targets, as URI references, of links with `rel=preload` that may be pushed: without the parameter `nopush`
 * (W3C Preload).
 * @param values of all `Link` fields of one response
 */
export function preloadTargets(values: readonly string[]): string[] {
  const targets: string[] = []
  for (const { target, parameters } of values.flatMap((value) => parseLinks(value)).slice(0, MAX_LINKS)) {
    const relations = (parameters.get('rel') ?? '').toLowerCase().split(/[ \t]+/)
    if (relations.includes('preload') && !parameters.has('nopush')) targets.push(target)
  }
  return targets
}

/** The links of one field value. What comes after a mistake is left out: links are hints. */
export function parseLinks(value: string): Link[] {
  const links: Link[] = []
  let rest = value.trimStart()
  while (rest !== '') {
    const target = /^<([^<>]*)>[ \t]*/.exec(rest)
    if (target === null) break
    rest = rest.slice(target[0].length)
    const parameters = new Map<string, string>()
    for (;;) {
      const parameter = /^;[ \t]*(?:([^\s=;,"]+)[ \t]*(?:=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?)?[ \t]*/.exec(rest)
      if (parameter === null) break
      rest = rest.slice(parameter[0].length)
      const [, name, quoted, plain] = parameter
      // Of a parameter that is repeated the first one counts (RFC 8288 §3.3).
      if (name === undefined || parameters.has(name.toLowerCase())) continue
      parameters.set(name.toLowerCase(), quoted?.replaceAll(/\\(.)/g, '$1') ?? plain ?? '')
    }
    links.push({ target: target[1], parameters })
    const comma = /^,[ \t,]*/.exec(rest)
    if (comma === null) break
    rest = rest.slice(comma[0].length)
  }
  return links
}
