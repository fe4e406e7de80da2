// Builds the native packet engine with node-gyp.
//
//   node scripts/build-native.mjs [--if-possible]
//
// With --if-possible, as `npm install` runs it, whatever stands in the way ends in one line and exit code 0: quicgate
// then runs on its engine without native code. A binary that came with the package is not built again.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const ifPossible = process.argv.includes('--if-possible')

/** Headers beside this node need not be fetched from the network. */
export function headerArguments() {
  const prefix = resolve(dirname(process.execPath), '..')
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : []
}

/** npm names its own node-gyp; without npm there is the one beside it. */
function nodeGyp() {
  const beside = resolve(dirname(process.execPath), '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js')
  const found = [process.env.npm_config_node_gyp, beside].find((path) => path !== undefined && existsSync(path))
  if (found === undefined) throw new Error('node-gyp is not there: run `npm run build:native`')
  return found
}

function tryLoad() {
  require('node-gyp-build')(root)
}

/** Whether a binary that came with the package runs here. */
function comesPrebuilt() {
  if (!existsSync(join(root, 'prebuilds'))) return false
  try {
    tryLoad()
    return true
  } catch {
    return false
  }
}

function build() {
  if (process.platform !== 'linux') throw new Error(`it is for Linux, and this is ${process.platform}`)
  if (ifPossible && comesPrebuilt()) return
  const stdio = ifPossible ? 'pipe' : 'inherit'
  const { status, error, stderr } = spawnSync(process.execPath, [nodeGyp(), 'rebuild', ...headerArguments()], { cwd: root, stdio })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(reasonOf(String(stderr ?? '')))
  tryLoad()
}

/** The line of node-gyp's output that says most. */
function reasonOf(output) {
  const lines = output.split('\n').map((line) => line.replace(/^gyp ERR! (stack )?/, '').trim())
  const telling = [/could not find|no such file|not found/i, /error:|EACCES|ENOENT/i, /failed/i]
  const found = telling.map((pattern) => lines.find((line) => pattern.test(line))).find((line) => line !== undefined)
  return found?.replace(/^Error: /, '') ?? 'node-gyp failed'
}

try {
  build()
} catch (error) {
  if (!ifPossible) throw error
  console.log(`quicgate: the native packet engine was not built (${error.message}); the engine without native code is used`)
}
