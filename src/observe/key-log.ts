/**
 * The key log: what it takes to decrypt recorded traffic, one line of JSON for each level of each connection
 * (docs/observability.md describes the fields).
 */
import { closeSync, fchmodSync, fstatSync, openSync, writeSync } from 'node:fs'
import type { LevelKeys } from '../quic/handshake/level-keys.js'
import type { ConnectionObserver, ObservedConnection } from '../quic/transport/observer.js'
import { EncryptionLevel, Perspective } from '../quic/types.js'

const levelNames = {
  [EncryptionLevel.None]: 'none',
  [EncryptionLevel.Initial]: 'initial',
  [EncryptionLevel.ForwardSecure]: 'forwardSecure'
} as const

/** An open key log. Lines are appended, so that several programs may share a file. */
export class KeyLog {
  private readonly descriptor: number
  private failed = false

  /**
   * Opens the file, or makes it, for its owner only: whoever can read it can read the traffic.
   * @param onProblem told once, when lines can no longer be written
   * @throws the system's error, with `path`
   */
  constructor(
    private readonly path: string,
    private readonly onProblem: (message: string) => void
  ) {
    this.descriptor = openSync(path, 'a', 0o600)
    if (fstatSync(this.descriptor).isFile()) fchmodSync(this.descriptor, 0o600)
  }

  /** Logs the keys of one connection as they are made. */
  observer(facts: ObservedConnection): ConnectionObserver {
    let { version, connectionId } = facts
    return {
      onVersionChanged: (_now, changed) => (version = changed),
      onConnectionIdChanged: (_now, changed) => (connectionId = changed),
      onKeys: (_now, keys) => this.write(keyLine({ ...facts, version, connectionId }, keys))
    }
  }

  close(): void {
    this.failed = true
    closeSync(this.descriptor)
  }

  private write(line: object): void {
    if (this.failed) return
    try {
      writeSync(this.descriptor, `${JSON.stringify(line)}\n`)
    } catch (error) {
      this.failed = true
      const { code, message } = error as NodeJS.ErrnoException
      this.onProblem(`cannot write keys to ${this.path} (${code ?? message}); later connections cannot be decrypted`)
    }
  }
}

function keyLine(facts: ObservedConnection, keys: LevelKeys): object {
  const hex = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('hex')
  return {
    connectionId: facts.connectionId.toString(),
    version: facts.version.label,
    perspective: facts.perspective === Perspective.Client ? 'client' : 'server',
    aead: keys.aead,
    level: levelNames[keys.level],
    clientKey: hex(keys.clientKey),
    clientIv: hex(keys.clientIv),
    clientHp: hex(keys.clientHeaderKey),
    serverKey: hex(keys.serverKey),
    serverIv: hex(keys.serverIv),
    serverHp: hex(keys.serverHeaderKey)
  }
}
