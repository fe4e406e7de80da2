/** What a route demands of one request header. */
import { compileRegex } from './path-pattern.js'

/** A condition on the values of one header field; one value that fits is enough. */
export class HeaderCondition {
  private constructor(
    /** Lower case. */
    readonly name: string,
    private readonly kind: 'present' | 'exact' | 'regex',
    private readonly text: string,
    private readonly regex: RegExp | undefined
  ) {}

  static present(name: string): HeaderCondition {
    return new HeaderCondition(name, 'present', '', undefined)
  }

  static exact(name: string, value: string): HeaderCondition {
    return new HeaderCondition(name, 'exact', value, undefined)
  }

  /** The regular expression has to match a whole value. @throws PatternError */
  static regex(name: string, source: string): HeaderCondition {
    return new HeaderCondition(name, 'regex', source, compileRegex(source))
  }

  get description(): string {
    if (this.kind === 'present') return `header ${this.name} present`
    return `header ${this.name} ${this.kind === 'exact' ? '=' : 'matching'} "${this.text}"`
  }

  match(headers: readonly (readonly [string, string])[]): boolean {
    for (const [name, value] of headers) {
      if (name === this.name && this.accepts(value)) return true
    }
    return false
  }

  private accepts(value: string): boolean {
    if (this.kind === 'present') return true
    return this.kind === 'exact' ? value === this.text : this.regex!.test(value)
  }

  /** Whether every request that fulfils `other` fulfils this one as well. */
  covers(other: HeaderCondition): boolean {
    if (this.name !== other.name) return false
    if (this.kind === 'present') return true
    if (other.kind === 'exact') return this.accepts(other.text)
    return this.kind === 'regex' && other.kind === 'regex' && this.text === other.text
  }
}
