/** "Did you mean …" for mistyped keys, names and values. */

/**
 * The candidate closest to `word`, if close enough to be a likely slip of the fingers.
 * Case, dashes and underscores do not count as differences.
 */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  const plain = fold(word)
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(plain.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(plain, fold(candidate))
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `; did you mean "x"?` or, without a likely candidate, the list of what is allowed. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const close = suggest(word, candidates)
  if (close !== undefined) return `did you mean "${close}"?`
  return candidates.length === 1 ? `expected "${candidates[0]}"` : `expected one of ${candidates.join(', ')}`
}

function fold(text: string): string {
  return text.toLowerCase().replaceAll(/[-_]/g, '')
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(row[j - 1]! + 1, last[j]! + 1, replaced)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) cost = Math.min(cost, beforeLast[j - 2]! + 1)
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
