import type { TestProject } from 'vitest/node';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** One Redis for all suites: keep to a random key prefix per file, and never flush it. */
    redisUrl: string;
  }
}

interface SharedRedis {
  server: Promise<RedisServer>;
  users: number;
}

/** vitest loads this file anew for every project, and only the process is common to them all. */
const everywhere = globalThis as { wxkeeperTestRedis?: SharedRedis };

/** TEST_REDIS_URL names a running server instead; the suites write to it. */
export async function setup(project: TestProject): Promise<void> {
  const given = process.env['TEST_REDIS_URL'];
  if (given) {
    project.provide('redisUrl', given);
    return;
  }
  everywhere.wxkeeperTestRedis ??= {
    server: startRedisServer({ say: (line) => process.stderr.write(`${line}\n`) }),
    users: 0,
  };
  everywhere.wxkeeperTestRedis.users += 1;
  project.provide('redisUrl', (await everywhere.wxkeeperTestRedis.server).url);
}

export async function teardown(): Promise<void> {
  const shared = everywhere.wxkeeperTestRedis;
  if (!shared) return;
  shared.users -= 1;
  if (shared.users === 0) await (await shared.server).stop();
}
