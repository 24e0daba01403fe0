import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

interface Shared {
  /** What tests leave behind goes with it. */
  folder: string;
  starting: Promise<{ redis: RedisShape; single: RedisShape }> | undefined;
  users: number;
}

/** vitest loads this file anew for every project, and only the process is common to them all. */
const everywhere = globalThis as { wxkeeperTests?: Shared };

/** TEST_REDIS_URL names a running server instead; the suites write to it. */
export async function setup(project: TestProject): Promise<void> {
  const shared = (everywhere.wxkeeperTests ??= share());
  shared.users += 1;
  const given = process.env['TEST_REDIS_URL'];
  if (given) {
    project.provide('redis', singleAccess(given));
    project.provide('redisUrl', given);
    return;
  }
  shared.starting ??= startRedis(process.env['TEST_REDIS_SHAPE'] ?? 'single');
  const { redis, single } = await shared.starting;
  project.provide('redis', { env: redis.env, admin: redis.admin });
  project.provide('redisUrl', single.env['REDIS_URL'] ?? '');
}

export async function teardown(): Promise<void> {
  const shared = everywhere.wxkeeperTests;
  if (!shared) return;
  shared.users -= 1;
  if (shared.users > 0) return;
  const started = await shared.starting;
  await started?.redis.close();
  await started?.single.close();
  rmSync(shared.folder, { recursive: true, force: true });
}

/** From now on this process, and all that it starts, have their temporary files there. */
function share(): Shared {
  const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-tests-'));
  process.env['TMPDIR'] = folder;
  return { folder, starting: undefined, users: 0 };
}

async function startRedis(name: string) {
  if (!isShapeName(name)) {
    throw new Error(`TEST_REDIS_SHAPE is one of ${SHAPES.join(', ')}, and not ${name}`);
  }
  const redis = await startRedisShape(name);
  if (name === 'single' || name === 'valkey') return { redis, single: redis };
  return { redis, single: await startSingle() };
}
