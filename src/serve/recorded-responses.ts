/**
 * Recorded responses: the directory form of the reference server's in-memory cache, `<root>/<authority>/<path…>`,
 * each file an HTTP/1 status line, header lines, an empty line and the body (quic_in_memory_cache.cc). Only headers are
 * kept in memory; bodies are read from their files when asked for.
 */
import { open, readdir } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import type { HeaderField, HeaderList } from '../quic/spdy/header-list.js'
import { headerValue, headerValues } from '../quic/spdy/header-list.js'
import type { PromisedResource } from '../quic/spdy/push/promise-headers.js'

/** One recorded response. */
export interface RecordedResponse {
  /** `:status` first, names in lower case, in the order of the file. */
  readonly headers: HeaderList
  readonly file: string
  /** Where the body begins in the file, bytes. */
  readonly bodyStart: number
  readonly bodyLength: number
  /** What its `X-Push-URL` headers name, to be pushed with it. */
  readonly pushes: readonly PromisedResource[]
}

/** A file that is no recorded response. The message names the file and what is wrong with it. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError'
}

/** The most that status line and headers of a file may take, bytes. */
const MAX_HEAD = 65_536
/** Have no meaning on a stream. The reference drops `connection`; HTTP/2 forbids them all. */
const dropped = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/** The head of a recorded response: its header list and how many bytes it takes. Lines may end in CRLF or LF. */
export function parseRecordedHead(bytes: Buffer, file: string): { headers: HeaderList; length: number } {
  const fields: HeaderField[] = []
  let status: string | undefined
  let at = 0
  for (;;) {
    const end = bytes.indexOf(0x0a, at)
    if (end < 0) throw new RecordingError(`${file}: the headers do not end, an empty line was expected after them`)
    const line = bytes.toString('latin1', at, end > at && bytes[end - 1] === 0x0d ? end - 1 : end)
    at = end + 1
    if (line === '') break
    if (line.startsWith('HTTP')) {
      status = /^HTTP\S* (\d{3})(?: |$)/.exec(line)?.[1]
      if (status !== undefined) continue
      throw new RecordingError(`${file}: "${line}" is no status line such as "HTTP/1.1 200 OK"`)
    }
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line)
    if (field === null) throw new RecordingError(`${file}: "${line}" is no header line "Name: value"`)
    const name = field[1]!.toLowerCase()
    if (!dropped.has(name)) fields.push([name, field[2]!])
  }
  if (status === undefined) throw new RecordingError(`${file}: no status line such as "HTTP/1.1 200 OK"`)
  return { headers: [[':status', status], ...fields], length: at }
}

/** See the file comment. */
export class RecordedResponses {
  /** By authority and path, exactly as requests carry them: with port and query. */
  private readonly responses = new Map<string, RecordedResponse>()

  /** How many responses there are. */
  get size(): number {
    return this.responses.size
  }

  /** Reads the heads of all files. Rejects with a {@link RecordingError} for one that is malformed or told twice. */
  static async load(root: string): Promise<RecordedResponses> {
    const loaded = new RecordedResponses()
    for (const file of await filesBelow(root)) loaded.add(root, await readRecording(file))
    for (const response of loaded.responses.values()) loaded.checkPushes(response)
    return loaded
  }

  /** The response to a request for this authority and path. */
  find(authority: string, path: string): RecordedResponse | undefined {
    return this.responses.get(authority + path)
  }

  private checkPushes(response: RecordedResponse): void {
    for (const { scheme, authority, path } of response.pushes) {
      if (this.find(authority, path) !== undefined) continue
      throw new RecordingError(`${response.file}: X-Push-URL ${scheme}://${authority}${path} is not recorded`)
    }
  }

  private add(root: string, response: RecordedResponse): void {
    const url = headerValue(response.headers, 'x-original-url')
    const place = relative(root, response.file).split(sep).join('/')
    const key = url === undefined ? place : url.replace(/^https?:\/\//i, '')
    if (!key.includes('/')) {
      const expected = 'expected below a directory named after its authority, or X-Original-Url in it'
      throw new RecordingError(`${response.file}: ${expected}`)
    }
    const other = this.responses.get(key)
    if (other !== undefined) throw new RecordingError(`${response.file} and ${other.file} both record ${key}`)
    this.responses.set(key, response)
  }
}

/** Whether a directory looks like recorded responses: it holds directories only, and their files begin with `HTTP/`. */
export async function looksRecorded(root: string): Promise<boolean> {
  const entries = (await readdir(root, { withFileTypes: true })).filter((entry) => !entry.name.startsWith('.'))
  if (entries.length === 0 || entries.some((entry) => !entry.isDirectory())) return false
  const files = (await filesBelow(root)).slice(0, 16)
  for (const file of files) {
    if (!(await firstBytes(file, 5)).equals(Buffer.from('HTTP/'))) return false
  }
  return files.length > 0
}

async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const visible = files.filter((file) => !relative(root, file).split(sep).some((segment) => segment.startsWith('.')))
  return visible.sort()
}

async function firstBytes(file: string, length: number): Promise<Buffer> {
  const handle = await open(file)
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

async function readRecording(file: string): Promise<RecordedResponse> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const head = Buffer.alloc(Math.min(size, MAX_HEAD))
    const { bytesRead } = await handle.read(head, 0, head.length, 0)
    const { headers, length } = parseRecordedHead(head.subarray(0, bytesRead), file)
    const pushes = headerValues(headers, 'x-push-url').map((url) => pushedResource(url, file))
    return { headers, file, bodyStart: length, bodyLength: size - length, pushes }
  } finally {
    await handle.close()
  }
}

function pushedResource(url: string, file: string): PromisedResource {
  const parts = /^(https?):\/\/([^/?#]+)(\/[^#]*)$/i.exec(url)
  if (parts === null) throw new RecordingError(`${file}: X-Push-URL "${url}" is no absolute URL such as https://host/path`)
  return { scheme: parts[1]!.toLowerCase(), authority: parts[2]!, path: parts[3]! }
}
