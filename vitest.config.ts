import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Each file makes its own service; loading all of its modules anew took longer than many tests.
const TOGETHER = { isolate: false, unstubEnvs: true };
/** What these put in the place of a module must not meet the tests of others. */
const WITH_MOCKS = [
  'test/unit/wechat/envelope.test.ts',
  'test/unit/wechat/envelope-guards.test.ts',
];

export default defineConfig({
  test: {
    globalSetup: ['test/kit/global-setup.ts'],
    setupFiles: ['test/kit/no-outside-network.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Most tests wait for processes and sockets: one worker for each core would leave the cores idle.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    projects: [
      {
        extends: true,
        test: {
          ...TOGETHER,
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          exclude: WITH_MOCKS,
        },
      },
      { extends: true, test: { name: 'unit-mocks', include: WITH_MOCKS } },
      {
        extends: true,
        test: { ...TOGETHER, name: 'integration', include: ['test/integration/**/*.test.ts'] },
      },
      {
        extends: true,
        test: { ...TOGETHER, name: 'browser', include: ['test/browser/**/*.test.ts'] },
      },
    ],
  },
});
