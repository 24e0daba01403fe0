import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { MUTATIONS } from '../interleavings/mutations.ts';
import { runSchedule } from '../interleavings/schedule.ts';
import { loadScripts } from '../interleavings/shared-store.ts';

/** A part of `npm run test:interleavings`, which runs 10,000 schedules and takes every rule out. */
const SCHEDULES = 400;

describe('two replicas in any order of their steps, with up to three faults', () => {
  let server: RedisServer;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedisServer({ args: ['--enable-debug-command', 'yes'] });
    redis = new Redis(server.url);
    await loadScripts(redis);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  it(`store what WeChat minted last, in each of ${SCHEDULES} schedules`, async () => {
    let mints = 0;
    for (let seed = 1; seed <= SCHEDULES; seed += 1) {
      const { violation, trace, mints: made } = await runSchedule(redis, seed);
      expect(violation, `seed ${seed}\n${trace.join('\n')}`).toBeUndefined();
      mints += made;
    }
    expect(mints).toBeGreaterThan(SCHEDULES);
  }, 60_000);

  it('are the same each time for the same seed', async () => {
    const first = await runSchedule(redis, 7);
    expect((await runSchedule(redis, 7)).trace).toEqual(first.trace);
  });

  it('do not without locks that last and intents', async () => {
    const tamper = MUTATIONS['a lock of 1 ms, and no intents'];
    let found = 0;
    for (let seed = 1; seed <= SCHEDULES && found === 0; seed += 1) {
      if ((await runSchedule(redis, seed, tamper)).violation !== undefined) found = seed;
    }
    expect(found).toBeGreaterThan(0);
  }, 60_000);
});
