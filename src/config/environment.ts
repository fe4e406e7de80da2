/**
 * `${NAME}` and `${NAME:-default}` in configuration values. `$${` stands for a literal `${`.
 */

/** What became of one text. `problems` name the offending piece as it stands in the text. */
export interface Substitution {
  readonly text: string
  /** Whether any variable was replaced. */
  readonly changed: boolean
  readonly problems: readonly { readonly piece: string; readonly message: string }[]
}

const variable = /\$\$\{|\$\{([^}]*)\}?/g
const wellFormed = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s

/** Replaces every variable in `text`. An empty variable counts as set, but `:-` replaces an empty one, too. */
export function substitute(text: string, environment: Readonly<Record<string, string | undefined>>): Substitution {
  if (!text.includes('${')) return { text, changed: false, problems: [] }
  const problems: { piece: string; message: string }[] = []
  let changed = false
  const replaced = text.replaceAll(variable, (piece: string, inner: string | undefined) => {
    if (piece === '$${') return '${'
    const parts = piece.endsWith('}') ? wellFormed.exec(inner ?? '') : null
    if (parts === null) {
      problems.push({
        piece,
        message: `"${piece}" is not a variable; write \${NAME} or \${NAME:-default}, and $\${ for a literal \${`
      })
      return piece
    }
    const [, name, fallback] = parts
    const value = environment[name!]
    if (value === undefined && fallback === undefined) {
      problems.push({
        piece,
        message: `environment variable ${name} is not set; set it, or give a default: \${${name}:-default}`
      })
      return piece
    }
    changed = true
    return value === undefined || (value === '' && fallback !== undefined) ? fallback! : value
  })
  return { text: replaced, changed, problems }
}
