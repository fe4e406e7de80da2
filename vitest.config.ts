import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Programs of the documentation import the library by its name.
  resolve: { alias: { quicgate: new URL('src/index.ts', import.meta.url).pathname } },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Every file owns its sockets and child processes; forks keep a crash in one from hiding the others.
    pool: 'forks'
  }
})
