/**
 * A YAML file checked against a schema: the one way in which commands read configuration.
 */
import type { z } from 'zod'
import { ConfigError } from './config-error.js'
import { ConfigFiles } from './config-files.js'
import type { ConfigProblem } from './config-error.js'
import { YamlSource } from './yaml-source.js'
import { problemsOf } from './zod-problems.js'

/** A valid file: its value in the schema's output form, and its source for problems found later. */
export interface LoadedYaml<T> {
  readonly value: T
  readonly source: YamlSource
}

/**
 * Reads a YAML file, replaces environment variables and validates it.
 * @param what what the file is, in words, such as `the configuration`
 * @throws ConfigError with every problem of the file
 */
export function loadYaml<S extends z.ZodType>(
  file: string,
  schema: S,
  what = 'the configuration',
  environment: NodeJS.ProcessEnv = process.env,
  files = new ConfigFiles()
): LoadedYaml<z.output<S>> {
  const source = YamlSource.read(file, what, environment, files)
  const result = schema.safeParse(source.value)
  if (!result.success) throw new ConfigError(problemsOf(source, schema, result.error.issues))
  return { value: result.data, source }
}

/** Like {@link loadYaml}, but adds the problems to `problems` and returns undefined. */
export function tryLoadYaml<S extends z.ZodType>(
  file: string,
  schema: S,
  problems: ConfigProblem[],
  what: string,
  environment: NodeJS.ProcessEnv = process.env,
  files = new ConfigFiles()
): LoadedYaml<z.output<S>> | undefined {
  try {
    return loadYaml(file, schema, what, environment, files)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    problems.push(...error.problems)
    return undefined
  }
}
