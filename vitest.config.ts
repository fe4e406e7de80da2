import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Every file owns its sockets and child processes; forks keep a crash in one from hiding the others.
    pool: 'forks'
  }
})
