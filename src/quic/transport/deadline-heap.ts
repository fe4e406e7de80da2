/**
 * Deadlines of many connections behind one timer: a binary heap whose members know their place, so that moving one
 * costs O(log n) and allocates nothing.
 */
import type { Micros } from '../types.js'

/** What the heap keeps in its members. */
export interface HeapMember {
  deadline: Micros
  /** The member's place; -1 while it is in no heap. */
  heapIndex: number
}

/** A min-heap by deadline. */
export class DeadlineHeap<T extends HeapMember> {
  private readonly members: T[] = []

  get size(): number {
    return this.members.length
  }

  /** The member with the earliest deadline. */
  peek(): T | undefined {
    return this.members[0]
  }

  /** Adds a member or moves it to its new deadline. */
  set(member: T, deadline: Micros): void {
    const before = member.deadline
    member.deadline = deadline
    if (member.heapIndex < 0) {
      member.heapIndex = this.members.length
      this.members.push(member)
      this.up(member.heapIndex)
    } else if (deadline < before) this.up(member.heapIndex)
    else if (deadline > before) this.down(member.heapIndex)
  }

  remove(member: T): void {
    const at = member.heapIndex
    if (at < 0) return
    member.heapIndex = -1
    const last = this.members.pop()!
    if (last === member) return
    this.place(last, at)
    this.up(at)
    this.down(last.heapIndex)
  }

  private up(at: number): void {
    const member = this.members[at]!
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = this.members[parent]!
      if (above.deadline <= member.deadline) break
      this.place(above, at)
      at = parent
    }
    this.place(member, at)
  }

  private down(at: number): void {
    const { members } = this
    const member = members[at]!
    for (;;) {
      let child = 2 * at + 1
      if (child >= members.length) break
      if (child + 1 < members.length && members[child + 1]!.deadline < members[child]!.deadline) child++
      const below = members[child]!
      if (below.deadline >= member.deadline) break
      this.place(below, at)
      at = child
    }
    this.place(member, at)
  }

  private place(member: T, at: number): void {
    this.members[at] = member
    member.heapIndex = at
  }
}
