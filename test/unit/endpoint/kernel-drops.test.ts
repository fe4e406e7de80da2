import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { dropsOfPort, KernelDropTable, KernelDropWatch } from '../../../src/endpoint/kernel-drops.js'

const V4 = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            
 1699: 0100007F:01BB 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 95116 2 0000000032ae9197 17         
  170: 00000000:AB50 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 95117 2 0000000032ae9198 0         
  171: 0A00000A:01BB 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 95118 2 0000000032ae9199 5         
`
const V6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1222: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 4294967295
`

describe('the kernel table', () => {
  it('tells the drops of a port, of all its sockets together', () => {
    expect(dropsOfPort(V4, 443)).toBe(22)
    expect(dropsOfPort(V4, 0xab50)).toBe(0)
    expect(dropsOfPort(V6, 80)).toBe(4_294_967_295)
  })

  it('knows nothing of other ports', () => {
    expect(dropsOfPort(V4, 80)).toBeUndefined()
    expect(dropsOfPort('', 443)).toBeUndefined()
  })
})

describe.skipIf(process.platform !== 'linux')('the table of a socket', () => {
  it('is read in the background, once for all who ask meanwhile', async () => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    const table = new KernelDropTable({ family: 4, address: '127.0.0.1', port })
    expect(table.latest()).toBeUndefined()
    await vi.waitFor(() => expect(table.latest()).toBe(0), { timeout: 10_000 })
    socket.close()
    const gone = new KernelDropTable({ family: 6, address: '::1', port })
    for (let i = 0; i < 3; i++) {
      expect(gone.latest()).toBeUndefined()
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })
})

describe('mechanism: kernel drops', () => {
  it('tells what is new, and nothing where nothing is', () => {
    vi.useFakeTimers()
    try {
      let drops: number | undefined = 0
      const told: [number, number][] = []
      const watch = new KernelDropWatch(() => drops, (dropped, total) => told.push([dropped, total]), 1000)
      vi.advanceTimersByTime(2500)
      drops = 7
      vi.advanceTimersByTime(1000)
      drops = 10
      expect(watch.look()).toBe(10)
      vi.advanceTimersByTime(5000)
      expect(told).toEqual([
        [7, 7],
        [3, 10]
      ])
      watch.close()
      drops = 100
      vi.advanceTimersByTime(5000)
      expect(told).toHaveLength(2)
    } finally {
      vi.useRealTimers()
    }
  })

  it('is silent where the system does not tell', () => {
    const watch = new KernelDropWatch(() => undefined, () => expect.unreachable(), 1000)
    expect(watch.look()).toBeUndefined()
    watch.close()
  })
})
