/**
 * A person's mistake in a configuration file, told so that it can be mended: where, what was expected, what to do.
 */

/** One mistake. `line` and `column` count from 1; both are 0 where the file as a whole is meant (it cannot be read). */
export interface ConfigProblem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly message: string
}

/** The form in which a problem is shown: `file:line:column: message`, as editors and terminals recognise it. */
export function formatProblem(problem: ConfigProblem): string {
  const { file, line, column, message } = problem
  return line === 0 ? `${file}: ${message}` : `${file}:${line}:${column}: ${message}`
}

/** Every mistake found in one go, in the order of the files and of their lines. Commands exit with code 2 on it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'CONFIG_INVALID'
  readonly problems: readonly ConfigProblem[]

  /** @param problems at least one; `message` becomes one line for each */
  constructor(problems: readonly ConfigProblem[]) {
    const sorted = sortProblems(problems)
    super(sorted.map(formatProblem).join('\n'))
    this.problems = sorted
  }
}

/** Sorts by position within each file; files stay in the order in which they were first named. */
function sortProblems(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const rank = new Map<string, number>()
  for (const { file } of problems) if (!rank.has(file)) rank.set(file, rank.size)
  return [...problems].sort(
    (a, b) => rank.get(a.file)! - rank.get(b.file)! || a.line - b.line || a.column - b.column
  )
}
