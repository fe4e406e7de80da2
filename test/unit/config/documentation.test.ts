import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { gatewayJsonSchema, routeFileJsonSchema } from '../../../src/config/json-schema.js'

interface Schema {
  description?: string
  properties?: Record<string, Schema>
  items?: Schema
  anyOf?: Schema[]
}

/** Every key of a schema, as the tables of docs/configuration.md name it. */
function keys(schema: Schema, path = ''): { path: string; description: string | undefined }[] {
  const found: { path: string; description: string | undefined }[] = []
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const here = path === '' ? name : `${path}.${name}`
    found.push({ path: here, description: child.description }, ...keys(child, here))
  }
  if (schema.items !== undefined) found.push(...keys(schema.items, `${path}[]`))
  for (const option of schema.anyOf ?? []) found.push(...keys(option, path))
  return found
}

describe('docs/configuration.md', () => {
  const text = readFileSync('docs/configuration.md', 'utf8')

  it.each([
    ['the gateway', gatewayJsonSchema()],
    ['routes', routeFileJsonSchema()]
  ])('has every key of %s, with what the schema says of it', (_, schema) => {
    const all = keys(schema as Schema)
    expect(all.length).toBeGreaterThan(15)
    for (const { path, description } of all) {
      expect(text, path).toContain(`| \`${path}\` |`)
      if (description !== undefined) expect(text, path).toContain(description.replaceAll('|', '\\|'))
    }
  })
})

describe('docs/access-log.md', () => {
  const text = readFileSync('docs/access-log.md', 'utf8')
  const source = readFileSync('src/gateway/access-log.ts', 'utf8')

  it('has every outcome and every field', () => {
    const outcomes = [...source.slice(0, source.indexOf('/** One line.')).matchAll(/^ {2}\| '(\w+)'/gm)].map(([, word]) => word)
    expect(outcomes.length).toBeGreaterThan(10)
    for (const word of outcomes) expect(text).toContain(`| \`${word}\` |`)
    const record = source.slice(source.indexOf('export interface AccessRecord'), source.indexOf('/** Takes finished'))
    for (const [, indent, name] of record.matchAll(/^( {2,4})(\w+): /gm)) {
      if (name !== 'ms') expect(text, name).toContain(indent.length === 4 ? `\`ms.${name}\`` : `\`${name}\``)
    }
  })
})
