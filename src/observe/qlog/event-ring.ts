/**
 * The last events of a connection and its milestones, in bounded memory.
 */
import type { QlogEvent } from './qlog-events.js'

/** What happens rarely and explains the rest is kept apart, so that packets do not push it out. */
const MAX_MILESTONES = 64

/** One a connection. */
export class EventRing {
  private readonly events: QlogEvent[] = []
  private milestones: QlogEvent[] = []
  private next = 0
  private forgotten = 0

  /** @param capacity how many events are kept, milestones not counted; at least 1 */
  constructor(private readonly capacity: number) {}

  add(event: QlogEvent, milestone: boolean): void {
    if (milestone && this.milestones.length < MAX_MILESTONES) {
      this.milestones.push(event)
      return
    }
    if (this.events.length < this.capacity) {
      this.events.push(event)
      return
    }
    this.events[this.next] = event
    this.next = (this.next + 1) % this.capacity
    this.forgotten++
  }

  /**
   * Empties the ring. What it holds comes in the order of time; where events were forgotten, `gquic:events_dropped`
   * tells how many.
   */
  take(): QlogEvent[] {
    const { events, milestones, forgotten } = this
    const recent = [...events.slice(this.next), ...events.slice(0, this.next)]
    if (forgotten > 0) {
      recent.unshift({ time: recent[0]!.time, name: 'gquic:events_dropped', data: { count: forgotten } })
    }
    events.length = 0
    this.milestones = []
    this.next = 0
    this.forgotten = 0
    // Both are in order already; a stable sort keeps milestones before what follows from them.
    return [...milestones, ...recent].sort((a, b) => a.time - b.time)
  }
}
