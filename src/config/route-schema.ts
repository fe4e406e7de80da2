/** Route files: what each route matches, what it changes, and where it leads. */
import { z } from 'zod'
import { HeaderCondition } from './patterns/header-condition.js'
import { HostPattern } from './patterns/host-pattern.js'
import { compileRegex, PathPattern, PatternError } from './patterns/path-pattern.js'
import { timeoutsSchema, upstreamSchema } from './upstream-schema.js'
import { headerName, headerValue, oneOrMore, tokenPattern } from './values.js'

/** Wraps a parser that throws PatternError into a schema. */
function parsed<T>(expected: string, parse: (text: string) => T): z.ZodType<T, string> {
  return z.string({ error: `expected ${expected}` }).transform((text, context) => {
    try {
      return parse(text)
    } catch (error) {
      if (!(error instanceof PatternError)) throw error
      context.addIssue(error.message)
      return z.NEVER
    }
  })
}

const headerTestSchema = z.union([
  headerValue().transform((exact) => ({ exact })),
  z.strictObject({ exact: headerValue() }),
  z.strictObject({ regex: parsed('a regular expression', (text) => (compileRegex(text), text)) }),
  z.strictObject({ present: z.literal(true) })
])

const methodSchema = z.string().transform((value, context) => {
  if (!tokenPattern.test(value)) {
    context.addIssue(`"${value}" is not a method; write GET, POST, …`)
    return z.NEVER
  }
  if (value !== value.toUpperCase()) {
    context.addIssue(`methods are case-sensitive: write ${value.toUpperCase()}`)
    return z.NEVER
  }
  return value
})

const matchSchema = z
  .strictObject({
    host: oneOrMore(parsed('a host', (text) => HostPattern.parse(text))).optional()
      .describe('example.com, *.example.com (any depth below), or a list; any host if left out'),
    path: oneOrMore(parsed('a path', (text) => PathPattern.exact(text))).optional().describe('exact path or a list'),
    pathPrefix: oneOrMore(parsed('a path', (text) => PathPattern.prefix(text))).optional()
      .describe('/api matches /api, /api/ and /api/x, not /apix'),
    pathPattern: oneOrMore(parsed('a path pattern', (text) => PathPattern.pattern(text))).optional()
      .describe('/users/:id, /users/:id(\\d+)/*'),
    methods: oneOrMore(methodSchema).optional().describe('GET, or a list; any method if left out'),
    headers: z.record(headerName(), headerTestSchema).optional()
      .describe('name: exact value, or { exact: … }, { regex: … } (whole value), { present: true }')
  })
  .transform(({ host, path = [], pathPrefix = [], pathPattern = [], methods, headers = {} }): RouteMatchRule => {
    const paths = [...path, ...pathPrefix, ...pathPattern]
    return {
      hosts: host ?? [HostPattern.any],
      paths: paths.length === 0 ? [PathPattern.any] : paths,
      methods,
      headers: Object.entries(headers).map(([name, test]) => headerCondition(name, test))
    }
  })

function headerCondition(name: string, test: z.output<typeof headerTestSchema>): HeaderCondition {
  if ('exact' in test) return HeaderCondition.exact(name, test.exact)
  return 'regex' in test ? HeaderCondition.regex(name, test.regex) : HeaderCondition.present(name)
}

/** What a request has to be for a route: one of the hosts, one of the paths, one of the methods, all of the headers. */
export interface RouteMatchRule {
  readonly hosts: readonly HostPattern[]
  readonly paths: readonly PathPattern[]
  /** Undefined for any method. */
  readonly methods: readonly string[] | undefined
  readonly headers: readonly HeaderCondition[]
}

const plainPath = parsed('a path', (text) => {
  if (!/^\/[\x21-\x7e]*$/.test(text) || /[?#]/.test(text)) {
    throw new PatternError(`"${text}" is not a path; it begins with "/" and has no spaces, "?" or "#"`)
  }
  return text
})

const rewriteSchema = z
  .strictObject({
    stripPrefix: plainPath.optional().describe('taken off the front of the path, at a segment boundary'),
    to: plainPath.optional()
      .describe('the new path; {name} stands for a parameter of pathPattern, {*} for its final *'),
    replace: z
      .strictObject({
        pattern: parsed('a regular expression', (text) => (compileRegex(text), new RegExp(text, 'g'))),
        with: z.string().describe('$1 and $<name> stand for groups')
      })
      .optional()
      .describe('every match in the path is replaced'),
    addPrefix: plainPath.optional().describe('put before the path')
  })
  .refine((value) => value.stripPrefix === undefined || value.to === undefined, {
    error: '"to" sets the whole path, so "stripPrefix" does nothing; keep one of them'
  })
  .describe('applied in this order: stripPrefix or to, replace, addPrefix; the query stays')

/** Fields that belong to a connection or to the message's framing; the gateway sets them. */
const managedFields = new Set([
  'connection', 'content-length', 'expect', 'host', 'keep-alive', 'proxy-connection', 'te', 'trailer',
  'transfer-encoding', 'upgrade'
])

const changeableName = headerName().refine((name) => !managedFields.has(name), {
  error: ({ input }) => `"${String(input)}" is set by the gateway itself${input === 'host' ? '; see hostHeader' : ''}`
})

const headerChangesSchema = z
  .strictObject({
    set: z.record(changeableName, headerValue()).default({}).describe('replace or create'),
    add: z.record(changeableName, headerValue()).default({}).describe('one more value'),
    remove: oneOrMore(changeableName).default([])
  })
  .describe('remove comes first, then set, then add')

/** Changes to the header fields of a request or a response. */
export type HeaderChanges = z.output<typeof headerChangesSchema>

const pushPath = z.string().refine((text) => /^\/[\x21\x22\x24-\x7e]*$/.test(text), {
  error: ({ input }) => `"${String(input)}" is not a path with query; it begins with "/" and has no spaces and no "#"`
})

const pushSchema = z
  .strictObject({
    preload: z.boolean().default(true)
      .describe('push what `Link` fields with rel=preload in responses name, unless they say nopush'),
    resources: oneOrMore(pushPath).default([]).describe('paths to push with every answer 200 to a GET of this route')
  })
  .describe('responses to send along before they are asked for, fetched by the same routes')

/** One route. */
export const routeSchema = z.strictObject({
  name: z.string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, { error: 'a name is made of letters, digits, ".", "_" and "-"' })
    .describe('shown in logs; unique over all files'),
  match: matchSchema.prefault({}),
  rewrite: rewriteSchema.optional(),
  hostHeader: z.enum(['preserve', 'upstream']).default('preserve')
    .describe('send the client\'s host upstream, or the host of the upstream\'s URL'),
  requestHeaders: headerChangesSchema.optional(),
  responseHeaders: headerChangesSchema.optional(),
  push: pushSchema.prefault({}),
  upstreams: z.array(upstreamSchema).min(1).describe('taken in turn'),
  timeouts: timeoutsSchema.optional()
})

/** A file of routes. */
export const routeFileSchema = z.strictObject({ routes: z.array(routeSchema).min(1) })

/** A route as its file defines it. */
export type RouteDefinition = z.output<typeof routeSchema>
