/**
 * Keeps a number of worker processes running: starts those anew that die, with growing pauses, and stops them together.
 */
import type { FromWorker, ToWorker } from './messages.js'
import type { StartProcess, WorkerProcess } from './worker-process.js'

/** The pause before a worker is started again, and what it doubles up to while it keeps dying. */
const FIRST_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 30_000
/** Who lived for this long did not die of how it was started: pauses begin anew. */
const SOUND_AFTER_MS = 60_000
/** Workers that may die before they are ready, one after another, until it is given up. */
const EARLY_DEATHS = 8
/** Who has not become ready by then is hung. */
const START_TIMEOUT_MS = 60_000
/** Beyond the time for running requests, until who has not ended is ended by force. */
const STOP_MARGIN_MS = 3_000

/** Workers cannot be kept running. The message is for a person. */
export class WorkerError extends Error {
  override readonly name = 'WorkerError'

  /** @param exitCode what the program is to end with */
  constructor(
    message: string,
    readonly exitCode = 1
  ) {
    super(message)
  }
}

/** Hears of the workers. */
export interface SupervisorListener {
  /** A process began: it is to be sent its first message. */
  onProcess(index: number, process: WorkerProcess): void
  /** A message that the supervisor itself has no use for. */
  onMessage(index: number, message: FromWorker): void
  /** @param pauseMs until it is started again; undefined while all are stopped */
  onDeath(index: number, how: string, pauseMs: number | undefined): void
  /** A worker that was ready once could not be started again. Nothing more is tried. */
  onGiveUp(error: WorkerError): void
}

/** How a worker is. */
export type WorkerState = 'starting' | 'running' | 'pausing' | 'stopping'

/** One place, which one process after another takes. */
class Slot {
  state: WorkerState = 'starting'
  process: WorkerProcess | undefined
  startedAt = 0
  restarts = 0
  pauseMs = FIRST_PAUSE_MS
  timer: NodeJS.Timeout | undefined
  /** Why it failed, in its own words. */
  failure: WorkerError | undefined
  /** Told that it is ready, or that it never will be. */
  settled: ((error: WorkerError | undefined) => void) | undefined

  constructor(readonly index: number) {}
}

/** See the file comment. */
export class Supervisor {
  private readonly slots: Slot[]
  private earlyDeaths = 0
  private stopping: Promise<void> | undefined
  private givenUp = false
  /** Whether all were ready once. */
  private begun = false
  private onAllGone: (() => void) | undefined

  /**
   * @param count how many workers
   * @param startProcess starts the process of one worker
   */
  constructor(
    count: number,
    private readonly startProcess: (index: number, listener: Parameters<StartProcess>[1]) => WorkerProcess,
    private readonly listener: SupervisorListener
  ) {
    this.slots = Array.from({ length: count }, (_, index) => new Slot(index))
  }

  /**
   * Starts all of them; resolves when all are ready.
   * @throws WorkerError if one cannot be started; the others are stopped then
   */
  async start(): Promise<void> {
    const outcomes = await Promise.all(
      this.slots.map((slot) => {
        const outcome = new Promise<WorkerError | undefined>((resolve) => (slot.settled = resolve))
        this.launch(slot)
        return outcome
      })
    )
    const error = outcomes.find((outcome) => outcome !== undefined)
    if (error !== undefined) {
      await this.stop(0)
      throw error
    }
    this.begun = true
  }

  /** How each worker is, in order. `uptimeMs` is of the process that runs now. */
  workers(): { state: WorkerState; pid: number | undefined; uptimeMs: number; restarts: number }[] {
    return this.slots.map(({ state, process, startedAt, restarts }) => ({
      state,
      pid: process?.pid,
      uptimeMs: process === undefined ? 0 : Date.now() - startedAt,
      restarts
    }))
  }

  /** The workers that are ready, by index. */
  get running(): number[] {
    return this.slots.filter(({ state }) => state === 'running').map(({ index }) => index)
  }

  /** The workers that can be asked something, by index: those that run, and those that are stopping. */
  get reachable(): number[] {
    const able = this.slots.filter(({ state, process }) => process !== undefined && state !== 'starting')
    return able.map(({ index }) => index)
  }

  /** Whether {@link stop} was called. */
  get isStopping(): boolean {
    return this.stopping !== undefined
  }

  /** Sends a message to a worker, if it runs. */
  send(index: number, message: ToWorker): void {
    this.slots[index]!.process?.send(message)
  }

  /** Stops all: running requests get `drainMs` to finish. Resolves when no process is left. */
  stop(drainMs: number): Promise<void> {
    return (this.stopping ??= this.stopAll(drainMs))
  }

  private async stopAll(drainMs: number): Promise<void> {
    const gone = new Promise<void>((resolve) => (this.onAllGone = resolve))
    for (const slot of this.slots) {
      clearTimeout(slot.timer)
      slot.state = 'stopping'
      slot.process?.send({ type: 'stop', drainMs })
      if (slot.process === undefined) this.settle(slot, new WorkerError('stopped'))
    }
    const timer = setTimeout(() => this.killAll(), drainMs + STOP_MARGIN_MS)
    this.lookWhetherAllGone()
    await gone
    clearTimeout(timer)
  }

  /** Ends all processes at once. */
  killAll(): void {
    for (const { process } of this.slots) process?.kill('SIGKILL')
  }

  private launch(slot: Slot): void {
    if (this.stopping !== undefined || this.givenUp) return
    slot.state = 'starting'
    slot.startedAt = Date.now()
    slot.failure = undefined
    const process = this.startProcess(slot.index, {
      onMessage: (message) => this.onMessage(slot, message),
      onExit: (code, signal) => this.onExit(slot, code, signal)
    })
    slot.process = process
    slot.timer = setTimeout(() => process.kill('SIGKILL'), START_TIMEOUT_MS)
    this.listener.onProcess(slot.index, process)
  }

  private onMessage(slot: Slot, message: FromWorker): void {
    if (message.type === 'failed') slot.failure = new WorkerError(message.message, message.exitCode)
    else if (message.type !== 'ready') this.listener.onMessage(slot.index, message)
    else if (slot.state === 'starting') {
      clearTimeout(slot.timer)
      slot.state = 'running'
      this.earlyDeaths = 0
      this.settle(slot, undefined)
    }
  }

  private onExit(slot: Slot, code: number | null, signal: NodeJS.Signals | null): void {
    clearTimeout(slot.timer)
    const early = slot.state === 'starting'
    const how = signal ?? (code === null ? 'it could not be started' : `exit code ${code}`)
    slot.process = undefined
    if (this.stopping !== undefined || this.givenUp) {
      this.listener.onDeath(slot.index, how, undefined)
      this.settle(slot, new WorkerError('stopped'))
      this.lookWhetherAllGone()
      return
    }
    if (early) this.earlyDeaths++
    // At the first start a person waits for the reason; later it may pass.
    if ((slot.failure !== undefined && !this.begun) || this.earlyDeaths >= EARLY_DEATHS) {
      this.listener.onDeath(slot.index, how, undefined)
      this.giveUp(slot, slot.failure ?? new WorkerError(`worker ${slot.index} keeps ending before it is ready (${how})`))
      return
    }
    this.pause(slot, how)
  }

  private pause(slot: Slot, how: string): void {
    if (Date.now() - slot.startedAt >= SOUND_AFTER_MS) slot.pauseMs = FIRST_PAUSE_MS
    const pauseMs = slot.pauseMs
    slot.pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
    slot.state = 'pausing'
    slot.restarts++
    this.listener.onDeath(slot.index, how, pauseMs)
    slot.timer = setTimeout(() => this.launch(slot), pauseMs)
  }

  private giveUp(slot: Slot, error: WorkerError): void {
    this.givenUp = true
    slot.state = 'stopping'
    if (this.begun) this.listener.onGiveUp(error)
    else for (const each of this.slots) this.settle(each, error)
  }

  private settle(slot: Slot, error: WorkerError | undefined): void {
    slot.settled?.(error)
    slot.settled = undefined
  }

  private lookWhetherAllGone(): void {
    if (this.slots.every(({ process }) => process === undefined)) this.onAllGone?.()
  }
}
