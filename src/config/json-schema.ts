/** JSON schemas of the configuration files, for editors and for `--print-schema`. */
import { z } from 'zod'
import { gatewaySchema } from './gateway-schema.js'
import { routeFileSchema } from './route-schema.js'

/** The JSON schema (draft 2020-12) of what a file may contain before defaults are filled in. */
export function jsonSchema(schema: z.ZodType, title: string): Record<string, unknown> {
  return { ...z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }), title }
}

/** The schema of `config/gateway.yaml`. */
export function gatewayJsonSchema(): Record<string, unknown> {
  return jsonSchema(gatewaySchema, 'quicgate gateway')
}

/** The schema of the files in `routes/`. */
export function routeFileJsonSchema(): Record<string, unknown> {
  return jsonSchema(routeFileSchema, 'quicgate routes')
}
