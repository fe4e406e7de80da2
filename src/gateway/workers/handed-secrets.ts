/** Which secrets each worker is given. */
import { serializeSecrets, type ServerSecrets } from '../../endpoint/server-secrets.js'
import type { HandedSecrets } from './messages.js'

/**
 * Remembers which server configs a worker may have accepted hellos for before it died. What it accepted died with it, so
 * its successor has to make clients of those configs wait until that has run out; those of all other configs it need not.
 */
export class SecretsForWorkers {
  private text = ''
  private readonly stale: Set<string>[]

  constructor(
    count: number,
    private secrets: ServerSecrets
  ) {
    this.stale = Array.from({ length: count }, () => new Set())
    this.use(secrets)
  }

  /** Goes on with these. */
  use(secrets: ServerSecrets): void {
    this.secrets = secrets
    this.text = serializeSecrets(secrets)
  }

  /** A worker died. */
  onDeath(index: number): void {
    for (const { id } of this.secrets.configs) this.stale[index]!.add(hexOf(id))
  }

  /** What the worker of this place is to live on. */
  of(index: number): HandedSecrets {
    const made = this.secrets.configs.filter(({ fresh }) => fresh)
    const fresh = made.map(({ id }) => hexOf(id)).filter((id) => !this.stale[index]!.has(id))
    return { text: this.text, fresh }
  }
}

function hexOf(id: Uint8Array): string {
  return Buffer.from(id).toString('hex')
}
