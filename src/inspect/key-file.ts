/**
 * Key logs, as every program writes them with `--keylog`: one line of JSON for each level of each connection.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { z } from 'zod'
import { keysSchema, unreadable, type CapturedConnection } from './capture.js'
import { CaptureError } from './capture-error.js'

const lineSchema = keysSchema.extend({
  connectionId: z.string().regex(/^[0-9a-fA-F]{16}$/, 'expected 16 hexadecimal digits'),
  aead: z.enum(['AESG', 'CC20'])
})

/**
 * Reads key logs. Fields that are not known are passed over, as are empty lines.
 *
 * Rejects with CaptureError, naming file and line, for what is no key log.
 */
export async function readKeyFiles(paths: readonly string[]): Promise<CapturedConnection[]> {
  const connections = new Map<string, CapturedConnection>()
  for (const path of paths) {
    let number = 0
    try {
      const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity })
      for await (const line of lines) {
        number++
        if (line.trim() !== '') addLine(connections, line, `${path} line ${number}`)
      }
    } catch (error) {
      if (error instanceof CaptureError) throw error
      throw unreadable(path, error, 'name a file that was written with --keylog')
    }
  }
  return [...connections.values()]
}

function addLine(connections: Map<string, CapturedConnection>, line: string, where: string): void {
  const parsed = lineSchema.safeParse(parse(line))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    const field = issue.path.length === 0 ? '' : ` ${issue.path.join('.')}:`
    const hint = 'give a file that was written with --keylog'
    throw new CaptureError('CAPTURE_MALFORMED', `${where}:${field} ${issue.message}; ${hint}`)
  }
  const { connectionId, aead, ...keys } = parsed.data
  const name = `${connectionId.toLowerCase()} ${aead}`
  let connection = connections.get(name)
  if (connection === undefined) {
    // A key log knows of no client sockets.
    connection = { conn: -1, connectionId, aead, keys: [] }
    connections.set(name, connection)
  }
  connection.keys.push(keys)
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
