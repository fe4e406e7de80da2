/**
 * A capture directory: `case.json` with the keys and `datagrams.jsonl.gz` with what passed between the two sides. Of
 * case.json only names and keys are read: everything that the report says comes out of the datagrams.
 */
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'
import { CaptureError } from './capture-error.js'

const hexBytes = z.string().regex(/^([0-9a-fA-F]{2})*$/, 'expected hexadecimal digits')

/** Keys of one level as case.json and key logs have them. */
export const keysSchema = z.object({
  level: z.string(),
  clientKey: hexBytes.optional(),
  clientIv: hexBytes.optional(),
  serverKey: hexBytes.optional(),
  serverIv: hexBytes.optional(),
  clientHp: hexBytes.optional(),
  serverHp: hexBytes.optional()
})

const caseSchema = z.object({
  case: z.string().optional(),
  connections: z
    .array(
      z.object({
        conn: z.int().nonnegative().default(0),
        connectionId: hexBytes,
        aead: z.enum(['AESG', 'CC20']).nullish(),
        keys: z.array(keysSchema).default([])
      })
    )
    .default([])
})

/** The keys of one level, hexadecimal, as they protect packets (a server's initial key is already diversified). */
export type CapturedKeys = z.infer<typeof keysSchema>

/** The keys of one connection. */
export type CapturedConnection = z.infer<typeof caseSchema>['connections'][number]

/** One datagram as it was seen between the two sides. */
export interface CapturedDatagram {
  /** Microseconds since the first datagram. */
  us: number
  from: 'client' | 'server'
  /** Which client socket, from 0. */
  conn: number
  /** Seen, but not delivered. */
  dropped: boolean
  bytes: Buffer
}

/** The two ends of a client socket's traffic, `host:port`. */
export interface CapturedEndpoints {
  readonly client: string
  readonly server: string
}

/** An opened capture: what is known beforehand, and the datagrams one by one. */
export interface Capture {
  readonly name: string
  readonly connections: readonly CapturedConnection[]
  /** Reads the datagrams in order, holding one at a time. Throws CaptureError where the file is damaged. */
  datagrams(): AsyncGenerator<CapturedDatagram>
  /** Where addresses are known: those of a client socket. */
  endpoints?(conn: number): CapturedEndpoints | undefined
  /** What was left out, in words, once all datagrams have been read. */
  notes?(): string[]
}

/** Opens a capture directory. Rejects with CaptureError if it is not there or case.json is not what it should be. */
export async function openCapture(directory: string): Promise<Capture> {
  await requireDirectory(directory)
  const casePath = join(directory, 'case.json')
  const parsed = caseSchema.safeParse(parseJson(await readText(casePath), casePath))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    const where = issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`
    throw new CaptureError('CAPTURE_MALFORMED', `${casePath}${where}: ${issue.message}; record the capture again`)
  }
  return {
    name: parsed.data.case ?? basename(resolve(directory)),
    connections: parsed.data.connections,
    datagrams: () => readDatagrams(join(directory, 'datagrams.jsonl.gz'))
  }
}

async function requireDirectory(directory: string): Promise<void> {
  try {
    if ((await stat(directory)).isDirectory()) return
  } catch (error) {
    throw unreadable(directory, error, 'name a pcap or pcapng file, or a directory that holds case.json and datagrams.jsonl.gz')
  }
  throw new CaptureError('CAPTURE_UNREADABLE', `${directory} is no directory: name the one that holds case.json`)
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw unreadable(path, error, 'a capture directory holds case.json and datagrams.jsonl.gz')
  }
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const what = (error as Error).message.replaceAll(/\s+/g, ' ')
    throw new CaptureError('CAPTURE_MALFORMED', `${where} is not JSON (${what}): copy or record it again`)
  }
}

async function* readDatagrams(path: string): AsyncGenerator<CapturedDatagram> {
  let number = 0
  for await (const line of readLines(path)) {
    number++
    if (line !== '') yield parseDatagram(line, `${path} line ${number}`)
  }
}

async function* readLines(path: string): AsyncGenerator<string> {
  const file = createReadStream(path)
  const unzip = createGunzip()
  file.on('error', error => unzip.destroy(error))
  file.pipe(unzip).setEncoding('utf8')
  let rest = ''
  try {
    for await (const chunk of unzip as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()!
      yield* lines
    }
  } catch (error) {
    if (error instanceof CaptureError) throw error
    if ((error as NodeJS.ErrnoException).syscall === undefined) {
      const what = (error as Error).message
      throw new CaptureError('CAPTURE_MALFORMED', `${path} is no intact gzip file (${what}): copy or record it again`)
    }
    throw unreadable(path, error, 'a capture directory holds case.json and datagrams.jsonl.gz')
  } finally {
    file.destroy()
  }
  yield rest
}

function parseDatagram(line: string, where: string): CapturedDatagram {
  const value = parseJson(line, where) as Record<string, unknown> | null
  const { us, from, conn = 0, dropped, hex } = value ?? {}
  if (typeof us !== 'number' || (from !== 'client' && from !== 'server') || !Number.isInteger(conn)) {
    throw new CaptureError('CAPTURE_MALFORMED', `${where}: expected {us, from: "client" or "server", conn, hex}`)
  }
  if (!hexBytes.safeParse(hex).success) {
    throw new CaptureError('CAPTURE_MALFORMED', `${where}: "hex" is not an even number of hexadecimal digits`)
  }
  return { us, from, conn: conn as number, dropped: dropped === true, bytes: Buffer.from(hex as string, 'hex') }
}

/** The error for a file that cannot be read. @param hint what to do instead */
export function unreadable(path: string, error: unknown, hint: string): CaptureError {
  const code = (error as NodeJS.ErrnoException).code
  const what =
    code === 'ENOENT' || code === 'ENOTDIR' ? 'does not exist'
    : code === 'EACCES' ? 'may not be read'
    : `cannot be read (${code ?? (error as Error).message})`
  return new CaptureError('CAPTURE_UNREADABLE', `${path} ${what}: ${hint}`)
}
