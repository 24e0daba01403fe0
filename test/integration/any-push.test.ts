import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { tryPushes } from '../pushes/trial.ts';

/** A few of what `npm run test:pushes` tries by the hundred thousand. */
describe('rows 101, 105, 109, 112 and 113: any push that is rightly signed', () => {
  const CASES = 2_000;
  const seed = Date.now() % 1_000_000;
  let redis: Redis;
  beforeAll(() => {
    redis = new Redis(inject('redisUrl'));
  });
  afterAll(() => redis.disconnect());

  it(`is stored exactly once and has its effect: ${CASES} odd ones of seed ${seed}`, async () => {
    const { violation, counts } = await tryPushes(redis, { cases: CASES, seed });
    expect(violation).toBeUndefined();
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(CASES / 10);
  });
});
