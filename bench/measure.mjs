/** Rounds of one case. */
import { summarizeSide } from './report.mjs'

/**
 * Measures a case. Its sides take turns, the order changing, so that what drifts hits all of them. Round 0 is thrown
 * away: it warms caches and compilers up.
 * @param {object} one what a benchmark's `cases` yielded: README.md
 * @param {{ rounds: number, quick?: boolean }} options `quick`: there is no round 0
 * @param {(text: string) => void} say is told of each round
 */
export async function measure(one, { rounds, quick = false }, say) {
  const sides = one.sides.filter((side) => side.missing === undefined)
  const collected = sides.map(() => [])
  const last = Math.min(rounds, one.rounds ?? rounds)
  for (let round = quick || one.warmUp === false ? 1 : 0; round <= last; round++) {
    const results = await (one.together === true ? allAtOnce : inTurns)(sides, round)
    if (round > 0) results.forEach((result, i) => collected[i].push(result))
    say(`${one.name}: round ${round} of ${last}`)
  }
  const notes = [...(one.notes ?? [])]
  for (const { name, missing } of one.sides) if (missing !== undefined) notes.push(`${name}: left out, ${missing}`)
  return {
    name: one.name,
    title: one.title,
    facts: one.facts,
    notes,
    compare: one.compare ?? everyOtherWith(sides),
    sides: sides.map((side, i) => ({ ...summarizeSide(side.name, collected[i]), facts: side.facts }))
  }
}

/** What the sides measured, one after another, every other time in reverse order. */
async function inTurns(sides, round) {
  const order = sides.map((_side, i) => i)
  if (round % 2 === 1) order.reverse()
  const results = []
  for (const i of order) results[i] = await sides[i].measure({ warmUp: round === 0, round })
  return results
}

/** The same for sides that wait for most of their time. */
function allAtOnce(sides, round) {
  return Promise.all(sides.map((side) => side.measure({ warmUp: round === 0, round })))
}

/** The first side against each of the others. */
function everyOtherWith([first, ...others]) {
  return others.map(({ name }) => [first.name, name])
}
