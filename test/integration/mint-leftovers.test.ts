import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it } from 'vitest';
import { createKeys } from '../../src/store/keys.ts';
import { commitMint, readHistory, readRecord, takeValue } from '../../src/store/records.ts';
import type { Store } from '../../src/store/store.ts';
import { CODE } from '../support/liveness.ts';

const NOW = Date.UTC(2026, 10, 21);
const LIFE = 1_800_000;

describe('what mints leave behind', () => {
  let store: Store;
  beforeEach(() => {
    const prefix = `test${randomBytes(6).toString('hex')}:`;
    store = { redis: new Redis(inject('redisUrl')), keys: createKeys(prefix) };
  });
  afterEach(async () => {
    await store.redis.del(store.keys.history(CODE), store.keys.record(CODE));
    store.redis.disconnect();
  });

  const commit = (begin: number) =>
    commitMint(store, CODE, {
      ...{ operation: `operation ${begin}`, begin, value: `code ${begin}`, now: NOW },
      ...{ obtainedAt: NOW + begin, expiresAt: NOW + LIFE, reason: 'test', replica: 'tests' },
      doubtful: false,
    });

  it('is a history of bounded length, of the latest ones', async () => {
    // Begins are odd and commits even, as when each mint follows the one before.
    for (let begin = 1; begin <= 2 * 610; begin += 2) await commit(begin);
    const history = await readHistory(store, CODE);
    expect(history).toHaveLength(600);
    expect(history[0]?.seq).toBe(610);
    expect(history.at(-1)?.seq).toBe(11);
  });

  it('is never handed out twice, even when somebody puts a taken code back by hand', async () => {
    await commit(1);
    expect(await takeValue(store, CODE, NOW)).toMatchObject({ value: 'code 1' });
    await store.redis.set(store.keys.mirror(CODE), 'code 1');
    expect(await readRecord(store, CODE)).toMatchObject({ taken: true });
    expect(await takeValue(store, CODE, NOW)).toBeUndefined();
    await store.redis.del(store.keys.mirror(CODE));
  });

  it('is not handed out in the last second of its life', async () => {
    await commit(1);
    expect(await takeValue(store, CODE, NOW + LIFE - 1_000)).toBeUndefined();
    expect(await takeValue(store, CODE, NOW + LIFE - 1_001)).toMatchObject({ value: 'code 1' });
  });
});
