// Builds the native packet engine for a package that needs no compiler: prebuilds/linux-<arch>/quicgate.glibc.node.
//
//   node scripts/prebuild-native.mjs [x64] [arm64]
//
// Both unless named. For the architecture that this machine is not, a cross compiler has to be there:
// aarch64-linux-gnu-g++ or x86_64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu, g++-x86-64-linux-gnu).
// One binary serves every Node from 20 on: it uses Node-API 8, and of libuv only what polls a descriptor.
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const prebuildify = promisify(createRequire(import.meta.url)('prebuildify'))
const triplets = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }

const environment = process.env
const wanted = process.argv.slice(2)
for (const arch of wanted.length > 0 ? wanted : Object.keys(triplets)) {
  const triplet = triplets[arch]
  if (triplet === undefined) throw new Error(`expected x64 or arm64, not ${arch}`)
  const cross = arch !== process.arch
  process.env = cross ? { ...environment, CC: `${triplet}-gcc`, CXX: `${triplet}-g++` } : { ...environment }
  const prefix = resolve(dirname(process.execPath), '..')
  if (existsSync(join(prefix, 'include/node/node_api.h'))) process.env.npm_config_nodedir = prefix
  await prebuildify({
    cwd: root,
    arch,
    platform: 'linux',
    napi: true,
    strip: true,
    stripBin: cross ? `${triplet}-strip` : 'strip',
    tagLibc: true,
    targets: [{ runtime: 'node', target: process.versions.node }],
    nodeGyp: process.env.npm_config_node_gyp ?? 'node-gyp'
  })
}
