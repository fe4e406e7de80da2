/** Which resources are pushed along with a response. */
import type { Route } from '../config/route-files.js'
import { preloadTargets } from '../http/preload-links.js'
import type { RequestHead } from '../http/request-head.js'
import { headerValues, type HeaderList } from '../quic/spdy/header-list.js'
import type { PromisedResource } from '../quic/spdy/push/promise-headers.js'

/**
 * The resources that go with a response, in order and once each: those that the route names, then those that the
 * response asks for in `Link` fields with `rel=preload`. Only of the request's own origin: whether the client believes
 * this gateway about others is not known. None for requests other than GET and responses other than 200.
 * @param fields of the response, as they are sent to the client
 */
export function resourcesToPush(
  head: RequestHead,
  status: number,
  fields: HeaderList,
  push: Route['push']
): PromisedResource[] {
  if (head.method !== 'GET' || status !== 200) return []
  const references = push.preload ? [...push.resources, ...preloadTargets(headerValues(fields, 'link'))] : push.resources
  if (references.length === 0) return []
  const base = `${head.scheme}://${head.authority}${head.target}`
  if (!URL.canParse(base)) return []
  const { origin, href } = new URL(base)
  const seen = new Set([href])
  const resources: PromisedResource[] = []
  for (const reference of references) {
    if (!URL.canParse(reference, base)) continue
    const url = new URL(reference, base)
    url.hash = ''
    if (url.origin !== origin || seen.has(url.href)) continue
    seen.add(url.href)
    resources.push({ scheme: head.scheme, authority: head.authority, path: url.pathname + url.search })
  }
  return resources
}

/** Whether the response to a promised request may be pushed; others the client has to ask for. */
export function mayBePushed(status: number): boolean {
  return status === 200 || Math.trunc(status / 100) === 3
}

/** What was pushed on one connection: nothing is pushed twice, for the client has it, or did not want it. */
export class PushHistory {
  private readonly urls = new Set<string>()

  /** @param limit how many URLs are remembered; nothing more is pushed after them */
  constructor(private readonly limit = 1000) {}

  /** Whether the resource is to be pushed: it was not yet, and counts as pushed from now on. */
  add({ scheme, authority, path }: PromisedResource): boolean {
    const url = `${scheme}://${authority}${path}`
    if (this.urls.has(url) || this.urls.size >= this.limit) return false
    this.urls.add(url)
    return true
  }
}
