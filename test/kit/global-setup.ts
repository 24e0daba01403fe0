import type { TestProject } from 'vitest/node';
import { singleAccess, type RedisAccess } from './redis-shapes/access.ts';
import type { RedisShape } from './redis-shapes/server.ts';
import { isShapeName, SHAPES, startRedisShape, startSingle } from './redis-shapes/shapes.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /**
     * One Redis for all suites, of the shape that TEST_REDIS_SHAPE names: keep to a random key prefix per file, and
     * never flush it.
     */
    redis: RedisAccess;
    /** The same, or beside it where that is of several servers or wants a login: for tests that need one by its URL. */
    redisUrl: string;
  }
}

interface SharedRedis {
  starting: Promise<{ redis: RedisShape; single: RedisShape }>;
  users: number;
}

/** vitest loads this file anew for every project, and only the process is common to them all. */
const everywhere = globalThis as { wxkeeperTestRedis?: SharedRedis };

/** TEST_REDIS_URL names a running server instead; the suites write to it. */
export async function setup(project: TestProject): Promise<void> {
  const given = process.env['TEST_REDIS_URL'];
  if (given) {
    project.provide('redis', singleAccess(given));
    project.provide('redisUrl', given);
    return;
  }
  everywhere.wxkeeperTestRedis ??= {
    starting: startShared(process.env['TEST_REDIS_SHAPE'] ?? 'single'),
    users: 0,
  };
  everywhere.wxkeeperTestRedis.users += 1;
  const { redis, single } = await everywhere.wxkeeperTestRedis.starting;
  project.provide('redis', { env: redis.env, admin: redis.admin });
  project.provide('redisUrl', single.env['REDIS_URL'] ?? '');
}

export async function teardown(): Promise<void> {
  const shared = everywhere.wxkeeperTestRedis;
  if (!shared) return;
  shared.users -= 1;
  if (shared.users > 0) return;
  const { redis, single } = await shared.starting;
  await redis.close();
  await single.close();
}

async function startShared(name: string) {
  if (!isShapeName(name)) {
    throw new Error(`TEST_REDIS_SHAPE is one of ${SHAPES.join(', ')}, and not ${name}`);
  }
  const redis = await startRedisShape(name);
  if (name === 'single' || name === 'valkey') return { redis, single: redis };
  return { redis, single: await startSingle() };
}
