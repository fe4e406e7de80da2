/**
 * Two network namespaces of this machine joined by a path with delay, loss and a bottleneck. The path is a program
 * (`quicgo-peer link`) between two TUN devices, so whole IP packets are lost: the kernel's TCP has to recover from that
 * as QUIC has to. With the same seed the packets with the same numbers are lost, whatever they carry.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { onCleanUp, ready, startOther, stop } from '../processes.mjs'

/** Addresses; each lane has namespaces of its own, so all lanes have the same. */
export const CLIENT = '10.97.0.1'
export const SERVER = '10.97.0.2'
const NETWORK = '10.97.0.0/24'

/** TCP's congestion control in a lane, set for the route: a namespace may refuse it as the default of all sockets. */
const CONGESTION_CONTROL = 'cubic'

function ip(...args) {
  execFileSync('ip', args, { stdio: 'pipe', encoding: 'utf8' })
}

/** Why there can be no lane here, in words; undefined if there can. */
export function missingLane() {
  if (process.platform !== 'linux' || !existsSync('/dev/net/tun')) return 'needs Linux and /dev/net/tun'
  const name = `quicgate-${process.pid}-try`
  try {
    ip('netns', 'add', name)
    ip('netns', 'del', name)
    return undefined
  } catch (error) {
    const why = error.code === 'ENOENT' ? 'iproute2 is not installed' : String(error.stderr).trim().split('\n')[0]
    return `needs network namespaces: ${why}`
  }
}

export class Lane {
  /**
   * Makes namespaces and devices.
   * @param {string} program the Go peer
   * @param {number} number tells the lanes of this process apart
   */
  static async open(program, number) {
    const lane = new Lane()
    lane.spaces = ['a', 'b'].map((end) => `quicgate-${process.pid}-${number}${end}`)
    // A device's name has at most 15 characters.
    const devices = ['a', 'b'].map((end) => `qg${process.pid % 1e7}-${number}${end}`)
    lane.cleanUp = () => {
      for (const space of lane.spaces.splice(0)) {
        try {
          ip('netns', 'del', space)
        } catch {
          // It was not made, or is gone.
        }
      }
    }
    onCleanUp(lane.cleanUp)
    for (const space of lane.spaces) ip('netns', 'add', space)
    lane.link = startOther([program, 'link', '--a', devices[0], '--b', devices[1]])
    await ready(lane.link, '"ready"')
    const addresses = [CLIENT, SERVER]
    for (const [i, space] of lane.spaces.entries()) {
      const inside = (...args) => ip('-n', space, ...args)
      ip('link', 'set', devices[i], 'netns', space)
      inside('address', 'add', `${addresses[i]}/24`, 'dev', devices[i])
      inside('link', 'set', 'lo', 'up')
      inside('link', 'set', devices[i], 'up')
      inside('route', 'replace', NETWORK, 'dev', devices[i], 'src', addresses[i], 'congctl', CONGESTION_CONTROL)
      // Nothing that one connection learned is for the next.
      ip('netns', 'exec', space, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/tcp_no_metrics_save')
    }
    return lane
  }

  /** What a program is started with (`prefix`) to run at one end, `client` or `server`. */
  at(end) {
    return ['ip', 'netns', 'exec', this.spaces[end === 'client' ? 0 : 1]]
  }

  /**
   * Sets how the path is from now on, in both directions.
   * @param {{ rttMs: number, loss: number, mbit: number, queueMs: number, seed: number }} path `loss` from 0 to 1
   */
  async set({ rttMs, loss, mbit, queueMs, seed }) {
    this.settings = (this.settings ?? 0) + 1
    this.link.stdin.write(`${rttMs / 2} ${loss} ${mbit} ${queueMs} ${seed}\n`)
    await ready(this.link, `"line":${this.settings}}`)
  }

  /** Ends the path and removes the namespaces; the programs in them have to be ended before. */
  async close() {
    this.link.stdin.end()
    await stop(this.link)
    this.cleanUp()
  }
}
