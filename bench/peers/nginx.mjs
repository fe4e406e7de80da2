/** nginx, where it is installed: the limit of what a proxy in C does over HTTP/1.1, and an upstream that costs little. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { startOther } from '../processes.mjs'

const START_TIMEOUT_MS = 5000

/** Debian keeps it where only root's PATH leads. */
const program = ['nginx', '/usr/sbin/nginx'].find((path) => runs(path, '-v'))

function runs(command, flag) {
  try {
    execFileSync(command, [flag], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Why there is no nginx here, in words; undefined if there is one. */
export function missingNginx() {
  return program === undefined ? 'nginx is not installed' : undefined
}

/**
 * Starts nginx as one process on loopback, with everything it writes in `directory`.
 * @param {string} directory made for it
 * @param {number} port
 * @param {{ body: string } | { upstream: number }} what a body to answer everything with, or a port to pass requests to
 */
export async function startNginx(directory, port, what, options) {
  mkdirSync(directory)
  const config = join(directory, 'nginx.conf')
  writeFileSync(config, configuration(directory, port, what))
  // It has to end with whoever started it, even if that is killed.
  const leash = runs('setpriv', '--version') ? ['setpriv', '--pdeathsig', 'KILL'] : []
  const command = [...leash, program, '-p', directory, '-c', config, '-e', join(directory, 'error.log')]
  const process = startOther(command, options)
  await listening(process, port)
  return process
}

function configuration(directory, port, what) {
  const location =
    'body' in what
      ? `default_type text/plain; return 200 "${what.body}";`
      : `proxy_pass http://upstream; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`
  const upstream = 'body' in what ? '' : `upstream upstream { server 127.0.0.1:${what.upstream}; keepalive 256; }`
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `daemon off;
master_process off;
pid ${directory}/nginx.pid;
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
http {
  access_log ${'body' in what ? 'off' : `${directory}/access.log`};
  keepalive_requests 1000000000;
  ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
  ${upstream}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      ${location}
    }
  }
}
`
}

async function listening(process, port) {
  const until = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (open) return
    if (process.exitCode !== null || process.failure !== undefined || Date.now() > until) {
      throw new Error(`nginx did not start: ${process.failure?.message ?? process.exitCode ?? 'not listening'}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
