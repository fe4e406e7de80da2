/**
 * The part of the Compose Specification's JSON schema that docker-compose.yml uses, and nothing else of it: a key that
 * is not listed here is an error, so that a misspelt one cannot pass. Add to it, from the specification, what the file
 * comes to need.
 */

const strings = { type: 'array', items: { type: 'string' } }
const duration = { type: 'string', pattern: '^(\\d+(us|ms|s|m|h))+$' }
const serviceName = '^[a-zA-Z0-9._-]+$'

const healthcheck = {
  type: 'object',
  additionalProperties: false,
  properties: {
    disable: { type: 'boolean' },
    test: { ...strings, minItems: 2, prefixItems: [{ enum: ['CMD', 'CMD-SHELL'] }] },
    interval: duration,
    timeout: duration,
    start_period: duration,
    retries: { type: 'integer', minimum: 1 }
  },
  oneOf: [{ required: ['disable'] }, { required: ['test'] }]
}

const service = {
  type: 'object',
  additionalProperties: false,
  required: ['image'],
  properties: {
    build: { type: 'string' },
    image: { type: 'string' },
    entrypoint: strings,
    command: strings,
    environment: { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean', 'null'] } },
    // [address:][published:]target[/protocol]
    ports: {
      type: 'array',
      uniqueItems: true,
      items: { type: 'string', pattern: '^((\\d{1,3}\\.){3}\\d{1,3}:)?\\d{1,5}:\\d{1,5}/(tcp|udp)$' }
    },
    // source:target[:access]
    volumes: {
      type: 'array',
      uniqueItems: true,
      items: { type: 'string', pattern: '^(\\./)?[a-zA-Z0-9._/-]+:/[a-zA-Z0-9._/-]+(:(ro|rw))?$' }
    },
    depends_on: {
      type: 'object',
      additionalProperties: false,
      patternProperties: {
        [serviceName]: {
          type: 'object',
          additionalProperties: false,
          required: ['condition'],
          properties: {
            condition: { enum: ['service_started', 'service_healthy', 'service_completed_successfully'] }
          }
        }
      }
    },
    healthcheck,
    network_mode: { type: 'string' },
    init: { type: 'boolean' },
    restart: { enum: ['no', 'always', 'on-failure', 'unless-stopped'] },
    stop_grace_period: duration,
    read_only: { type: 'boolean' },
    cap_drop: { ...strings, uniqueItems: true },
    security_opt: { ...strings, uniqueItems: true }
  }
}

/** For ajv's 2020-12 dialect. */
export const composeSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['services'],
  properties: {
    name: { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]*$' },
    services: { type: 'object', additionalProperties: false, patternProperties: { [serviceName]: service } },
    volumes: { type: 'object', additionalProperties: false, patternProperties: { [serviceName]: { type: 'null' } } }
  }
}
