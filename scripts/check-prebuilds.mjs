// Checks the binaries that `npm run package:native` has made: each carries a file from `serve` to `fetch`, on every Node given.
//
//   node scripts/check-prebuilds.mjs [COMMAND...]
//
// A COMMAND runs Node (default: this one); with qemu-user and the libraries of a cross compiler it may be of another architecture:
//
//   node scripts/check-prebuilds.mjs /opt/node-20/bin/node /opt/node-24/bin/node \
//     'qemu-aarch64 -L /usr/aarch64-linux-gnu /opt/node-24-arm64/bin/node'
//
// Needs `npm run build` before. What was built in build/ is not looked at.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const PATIENCE_MS = 120_000
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const scratch = mkdtempSync(join(tmpdir(), 'quicgate-prebuilds-'))
const env = { ...process.env, PREBUILDS_ONLY: '1', QUICGATE_ENGINE: 'native' }
delete env.QUICGATE_PREBUILD

function start(command, args) {
  const [program, ...first] = command.split(' ')
  const words = [...first, join(root, 'dist/cli/main.js'), ...args]
  const child = spawn(program, words, { cwd: scratch, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (said += text))
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  const closed = once(child, 'close').finally(() => clearTimeout(late))
  return { child, closed, said: () => said }
}

async function run(command, ...args) {
  const { closed, said } = start(command, args)
  const [code] = await closed
  assert.equal(code, 0, `${command} ${args.join(' ')}: exit code ${code}\n${said()}`)
  return said()
}

/** The port that `serve` says it has. */
async function portOf(server) {
  for (;;) {
    const port = /on UDP 127\.0\.0\.1:(\d+)/.exec(server.said())?.[1]
    if (port !== undefined) return port
    await Promise.race([once(server.child.stdout, 'data'), server.closed])
    assert.equal(server.child.exitCode ?? server.child.signalCode, null, `serve ended: ${server.said()}`)
  }
}

async function check(command) {
  const version = await run(command, '--version', '--verbose')
  assert.match(version, /^engine: native/m, version)
  const identity = ['--cert', 'certs/cert.pem', '--key', 'certs/key.pem']
  const server = start(command, ['serve', '--listen', '127.0.0.1:0', ...identity, '--root', 'www', '--files'])
  try {
    const port = await portOf(server)
    await run(command, 'fetch', `https://localhost:${port}/file`, '--connect', `127.0.0.1:${port}`, '--ca', 'certs/ca.pem', '-o', 'got')
    assert.deepEqual(readFileSync(join(scratch, 'got')), readFileSync(join(scratch, 'www/file')), 'the file arrived changed')
  } finally {
    server.child.kill('SIGTERM')
    await server.closed
  }
  console.log(`ok: ${version.trim().split('\n').at(-1)}`)
}

try {
  mkdirSync(join(scratch, 'www'))
  writeFileSync(join(scratch, 'www/file'), randomBytes(300_000))
  await run(process.execPath, 'cert')
  for (const command of process.argv.length > 2 ? process.argv.slice(2) : [process.execPath]) await check(command)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
