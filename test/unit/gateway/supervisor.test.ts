import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FromWorker, ToWorker } from '../../../src/gateway/workers/messages.js'
import { Supervisor, type SupervisorListener, WorkerError } from '../../../src/gateway/workers/supervisor.js'
import { forwardLines, type WorkerListener, type WorkerProcess } from '../../../src/gateway/workers/worker-process.js'
import { PassThrough } from 'node:stream'

class FakeProcess implements WorkerProcess {
  readonly sent: ToWorker[] = []
  readonly signals: string[] = []

  constructor(
    readonly pid: number,
    readonly index: number,
    private readonly listener: WorkerListener
  ) {}

  send(message: ToWorker): void {
    this.sent.push(message)
  }

  kill(signal: NodeJS.Signals): void {
    this.signals.push(signal)
    if (signal === 'SIGKILL') this.exit(null, signal)
  }

  say(message: FromWorker): void {
    this.listener.onMessage(message)
  }

  exit(code: number | null, signal: NodeJS.Signals | null = null): void {
    this.listener.onExit(code, signal)
  }
}

let processes: FakeProcess[]
let listener: { [K in keyof SupervisorListener]: ReturnType<typeof vi.fn<SupervisorListener[K]>> }
let supervisor: Supervisor

beforeEach(() => {
  vi.useFakeTimers()
  processes = []
  listener = { onProcess: vi.fn(), onMessage: vi.fn(), onDeath: vi.fn(), onGiveUp: vi.fn() }
  supervisor = new Supervisor(
    2,
    (index, of) => {
      const process = new FakeProcess(1000 + processes.length, index, of)
      processes.push(process)
      return process
    },
    listener
  )
})

afterEach(() => {
  vi.useRealTimers()
})

async function startAll(): Promise<void> {
  const started = supervisor.start()
  for (const process of processes) process.say({ type: 'ready' })
  await started
}

describe('a supervisor', () => {
  it('is done starting when all workers are ready', async () => {
    let done = false
    const started = supervisor.start().then(() => (done = true))
    expect(processes.map(({ index }) => index)).toEqual([0, 1])
    processes[1]!.say({ type: 'ready' })
    await vi.advanceTimersByTimeAsync(10)
    expect([done, supervisor.running]).toEqual([false, [1]])
    processes[0]!.say({ type: 'ready' })
    await started
    expect(supervisor.running).toEqual([0, 1])
  })

  it('ends with the words of a worker that cannot start, and leaves no other', async () => {
    const started = supervisor.start()
    const refused = expect(started).rejects.toMatchObject({ message: 'no such file', exitCode: 2 })
    processes[1]!.say({ type: 'ready' })
    processes[0]!.say({ type: 'failed', message: 'no such file', exitCode: 2 })
    processes[0]!.exit(2)
    await vi.advanceTimersByTimeAsync(0)
    expect(processes[1]!.sent).toEqual([{ type: 'stop', drainMs: 0 }])
    processes[1]!.exit(0)
    await refused
    expect(processes).toHaveLength(2)
  })

  it('replaces who dies, in pauses that double, and begins anew with who lived long', async () => {
    await startAll()
    const pauses: (number | undefined)[] = []
    for (let i = 0; i < 12; i++) {
      processes.at(-1)!.exit(null, 'SIGSEGV')
      pauses.push(listener.onDeath.mock.lastCall![2])
      expect(supervisor.running).toEqual([0])
      await vi.advanceTimersByTimeAsync(pauses.at(-1)!)
      processes.at(-1)!.say({ type: 'ready' })
    }
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000])
    await vi.advanceTimersByTimeAsync(60_000)
    processes.at(-1)!.exit(1)
    expect(listener.onDeath).toHaveBeenLastCalledWith(1, 'exit code 1', 100)
    expect(supervisor.workers()[1]).toMatchObject({ state: 'pausing', restarts: 13, pid: undefined })
    expect(listener.onGiveUp).not.toHaveBeenCalled()
  })

  it('gives up when workers keep dying before they are ready', async () => {
    await startAll()
    processes[0]!.exit(1)
    for (let i = 0; i < 8; i++) {
      expect(listener.onGiveUp).not.toHaveBeenCalled()
      await vi.advanceTimersByTimeAsync(30_000)
      processes.at(-1)!.exit(1)
    }
    expect(listener.onGiveUp.mock.lastCall![0]).toBeInstanceOf(WorkerError)
    const before = processes.length
    await vi.advanceTimersByTimeAsync(120_000)
    expect(processes).toHaveLength(before)
  })

  it('kills who does not become ready', async () => {
    void supervisor.start()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(processes.slice(0, 2).map(({ signals }) => signals)).toEqual([['SIGKILL'], ['SIGKILL']])
  })

  it('stops all, gives them their time, and ends by force who does not end', async () => {
    await startAll()
    let stopped = false
    void supervisor.stop(5_000).then(() => (stopped = true))
    for (const process of processes) expect(process.sent).toEqual([{ type: 'stop', drainMs: 5_000 }])
    processes[0]!.exit(0)
    await vi.advanceTimersByTimeAsync(7_900)
    expect([stopped, processes[1]!.signals]).toEqual([false, []])
    await vi.advanceTimersByTimeAsync(200)
    expect([stopped, processes[1]!.signals]).toEqual([true, ['SIGKILL']])
    expect(processes).toHaveLength(2)
  })

  it('does not start again who was waiting for that when all are stopped', async () => {
    await startAll()
    processes[0]!.exit(1)
    const stopped = supervisor.stop(0)
    processes[1]!.exit(0)
    await stopped
    await vi.advanceTimersByTimeAsync(60_000)
    expect(processes).toHaveLength(2)
  })
})

describe('lines of a worker', () => {
  it('are passed on whole, however they come in', async () => {
    vi.useRealTimers()
    const from = new PassThrough()
    const written: string[] = []
    forwardLines(from, (lines) => written.push(lines))
    const text = Buffer.from('{"a":"é"}\n{"b":2}\n{"c"')
    for (const byte of text) from.write(Buffer.from([byte]))
    from.end(':3}')
    await new Promise((resolve) => from.on('close', resolve))
    expect(written.join('')).toBe('{"a":"é"}\n{"b":2}\n{"c":3}\n')
    expect(written.every((lines) => lines.endsWith('\n'))).toBe(true)
  })
})
