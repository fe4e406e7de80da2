import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import type { GatewayConfig } from '../../../src/config/gateway-config.js'
import { NodeEngine } from '../../../src/endpoint/engines/node-engine.js'
import { AdminServer, type AdminSource } from '../../../src/gateway/admin/admin-server.js'
import { workerCount } from '../../../src/gateway/workers/worker-count.js'
import { createLogger } from '../../../src/observe/logger.js'

const at = { file: 'g.yaml', line: 3, column: 5 }
const logger = createLogger({ level: 'silent' })
const source: AdminSource = {
  notReady: () => 'stopping',
  metrics: () => Promise.reject(new Error('no')),
  status: (connections) => Promise.resolve({ asked: connections } as never)
}

describe('the admin server', () => {
  it('answers what it has and says what it has not', async () => {
    const server = await AdminServer.start({ host: '127.0.0.1', port: 0 }, at, source, logger)
    const ask = async (path: string): Promise<[number, string]> => {
      const response = await fetch(`http://127.0.0.1:${server.address.port}${path}`)
      return [response.status, await response.text()]
    }
    expect(await ask('/healthz')).toEqual([200, 'ok\n'])
    expect(await ask('/readyz')).toEqual([503, 'stopping\n'])
    expect((await ask('/metrics'))[0]).toBe(500)
    expect(JSON.parse((await ask('/status'))[1])).toEqual({ asked: 100 })
    expect(JSON.parse((await ask('/status?connections=5000'))[1])).toEqual({ asked: 1000 })
    expect((await ask('/status?connections=many'))[0]).toBe(400)
    expect(await ask('/else')).toEqual([404, 'there are /metrics, /healthz, /readyz and /status\n'])
    await server.close()
  })

  it('names the place of an address that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const words = `g.yaml:3:5: 127.0.0.1:${port} (TCP) is in use by another program; stop that one or choose another port`
    await expect(AdminServer.start({ host: '127.0.0.1', port }, at, source, logger)).rejects.toThrow(words)
    other.close()
  })
})

describe('the number of workers', () => {
  const wanted = (workers: number | 'auto'): GatewayConfig => ({ workers, workersAt: at }) as GatewayConfig
  const alone = new NodeEngine()
  const sharing = { name: 'native', openGroup: () => Promise.reject(new Error()) } as never

  it('is what is asked for, or the number of cores, where the engine can share', () => {
    expect(workerCount(wanted(3), sharing, 8)).toEqual({ count: 3 })
    expect(workerCount(wanted('auto'), sharing, 8)).toEqual({ count: 8 })
    expect(workerCount(wanted(1), alone, 8)).toEqual({ count: 1 })
  })

  it('is one where it cannot, said once or refused', () => {
    expect(workerCount(wanted('auto'), alone, 8)).toMatchObject({ count: 1, remark: expect.stringContaining('node engine') as string })
    expect(() => workerCount(wanted(2), alone, 8)).toThrow('g.yaml:3:5: workers: the node engine cannot share listeners')
  })
})
