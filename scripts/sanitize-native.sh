#!/usr/bin/env bash
# Builds the native packet engine with AddressSanitizer and UndefinedBehaviorSanitizer and runs its tests on that.
#
#   bash scripts/sanitize-native.sh
#
# Needs g++ with its sanitizer libraries, and Node's headers beside node or in the directory that NODE_INCLUDE names.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=$(node -p 'require("node:path").resolve(process.execPath, "../..")')
include=${NODE_INCLUDE:-$prefix/include/node}
if [ ! -f "$include/node_api.h" ]; then
  echo "Node's headers are not in $include: name their directory in NODE_INCLUDE" >&2
  exit 1
fi

# In the shape that node-gyp-build looks for.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/build/Release"
g++ -std=c++17 -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -Wall -Wextra -Wshadow -Werror -DNAPI_VERSION=8 -D_GNU_SOURCE -DNODE_GYP_MODULE_NAME=quicgate \
  -I"$include" -fPIC -shared native/*.cc -o "$scratch/build/Release/quicgate.node"

# Node keeps what it has allocated until it ends: leaks are not looked for. libstdc++ comes first for the sake of exceptions.
export QUICGATE_PREBUILD=$scratch QUICGATE_REQUIRE_TOOLS=1
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)" \
  node node_modules/vitest/vitest.mjs run --testTimeout=60000 test/unit/crypto/primitives.test.ts \
  test/unit/crypto/key-exchange.test.ts test/unit/crypto/hkdf.test.ts test/unit/endpoint/aead.test.ts test/unit/endpoint/engines.test.ts \
  test/unit/endpoint/native-socket.test.ts test/unit/endpoint/native-sealing.test.ts test/unit/endpoint/late-sealing.test.ts \
  test/unit/endpoint/reuse-port-filter.test.ts
