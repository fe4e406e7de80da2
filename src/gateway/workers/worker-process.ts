/** A worker as the primary sees it: a process that is sent messages, answers, and ends some day. */
import { fork } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { FromWorker, ToWorker } from './messages.js'

/** Hears of one worker. */
export interface WorkerListener {
  onMessage(message: FromWorker): void
  /** Called once. One of the two is null. */
  onExit(code: number | null, signal: NodeJS.Signals | null): void
}

/** One running process. */
export interface WorkerProcess {
  readonly pid: number | undefined
  /** Does nothing once the process is gone. */
  send(message: ToWorker): void
  kill(signal: NodeJS.Signals): void
}

/** Starts a process, which inherits `fds` from file descriptor {@link FIRST_INHERITED_FD} on. */
export type StartProcess = (fds: readonly number[], listener: WorkerListener) => WorkerProcess

const NEWLINE = 0x0a

/** 0 to 2 are the usual ones, 3 is the channel. */
export const FIRST_INHERITED_FD = 4

/**
 * What runs the program `file` as workers, without an input and with this process's output.
 *
 * @param write takes whole lines of their standard output; a terminal gets them directly
 */
export function forkProcesses(file: string, write: (lines: string) => void): StartProcess {
  const output = process.stdout.isTTY ? 'inherit' : 'pipe'
  return (fds, listener) => {
    const child = fork(file, [], { serialization: 'advanced', stdio: ['ignore', output, 'inherit', 'ipc', ...fds] })
    if (child.stdout !== null) forwardLines(child.stdout, write)
    let over = false
    const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (over) return
      over = true
      listener.onExit(code, signal)
    }
    child.on('message', (message) => listener.onMessage(message as FromWorker))
    // Unlike "exit" it comes after the last line of output.
    child.on('close', ended)
    // It could not be started, or a message could not be sent: in the latter case its end follows.
    child.on('error', () => {
      if (child.pid === undefined) ended(null, null)
    })
    return {
      pid: child.pid,
      send: (message) => {
        if (child.connected) child.send(message, () => undefined)
      },
      kill: (signal) => void child.kill(signal)
    }
  }
}

/**
 * Passes lines on as they are complete, so that those of several processes do not break each other.
 *
 * @param write is given one or several whole lines at a time
 */
export function forwardLines(from: Readable, write: (lines: string) => void): void {
  let begun: Buffer[] = []
  from.on('data', (bytes: Buffer) => {
    const end = bytes.lastIndexOf(NEWLINE) + 1
    if (end > 0) {
      write(Buffer.concat([...begun, bytes.subarray(0, end)]).toString('utf8'))
      begun = []
    }
    if (end < bytes.length) begun.push(bytes.subarray(end))
  })
  from.on('end', () => {
    if (begun.length > 0) write(`${Buffer.concat(begun).toString('utf8')}\n`)
  })
}
