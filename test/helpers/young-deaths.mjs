// Opens and closes streams of a table, fifty open at a time, each with a kilobyte to its name.
import { StreamTable } from '../../dist/quic/transport/streams/stream-table.js'

const OPEN = 50
const table = new StreamTable()
for (let i = 0; i < 200_000; i++) {
  if (i === 1000) globalThis.gc()
  table.set({ id: i, content: new Array(128).fill(i) })
  if (i >= OPEN) table.delete(i - OPEN)
}
