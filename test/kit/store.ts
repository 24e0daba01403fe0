import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { createKeys, type CredentialId } from '../../src/store/redis/keys.ts';
import {
  beginMint,
  commitMint,
  failMint,
  type BeginResult,
} from '../../src/store/credentials/mint.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { createManualClock, type ManualClock } from './clock.ts';
import { connectAdmin } from './redis-shapes/access.ts';

/** A store of its own on the real Redis of all tests, with a clock that the test moves. */
export interface TestStore extends Store {
  clock: ManualClock;
  close(): void;
}

export function createTestStore(access = inject('redis')): TestStore {
  const clock = createManualClock();
  const redis = connectAdmin(access);
  const keys = createKeys(`test${randomBytes(6).toString('hex')}:`);
  const time = createStoreTime(clock);
  return {
    redis,
    keys,
    time,
    encryption: createTokenEncryption([]),
    clock,
    close: () => redis.disconnect(),
  };
}

export const LIFE = 7_200_000;
export const BUDGET = { most: 30, spare: 6, dailyCalls: 0 };
export const BUSY = { class: 'retry', message: 'busy', advice: 'wait' };

type Begin = Parameters<typeof beginMint>[2];
type Commit = Parameters<typeof commitMint>[2];
type Fail = Parameters<typeof failMint>[2];

/** The steps of a mint with everything filled in that a test does not care about. */
export function mintSteps(store: () => Store, id: CredentialId) {
  const begin = (operation: string, more: Partial<Begin> = {}) =>
    beginMint(store(), id, {
      operation,
      judgedSeq: 0,
      ignoreBackoff: false,
      needed: false,
      budget: BUDGET,
      ...more,
    });
  const granted = async (
    operation: string,
    more: Partial<Begin> = {},
  ): Promise<Extract<BeginResult, { outcome: 'granted' }>> => {
    const begun = await begin(operation, more);
    if (begun.outcome !== 'granted') throw new Error(`not granted: ${begun.outcome}`);
    return begun;
  };
  const commit = (
    operation: string,
    begun: { begin: number; epoch: string },
    value: string,
    more: Partial<Commit> = {},
  ) =>
    commitMint(store(), id, {
      operation,
      begin: begun.begin,
      epoch: begun.epoch,
      value,
      lifeMs: LIFE,
      ageMs: 0,
      reason: `by ${operation}`,
      replica: 'tests',
      doubtful: false,
      singleUse: false,
      authEpoch: 0,
      refreshToken: undefined,
      ...more,
    });
  const fail = (operation: string, mayHaveMinted = false, more: Partial<Fail> = {}) =>
    failMint(store(), id, { operation, error: BUSY, retryInMs: 5_000, mayHaveMinted, ...more });
  /** A whole mint of its own. */
  const mint = async (
    operation: string,
    value: string,
    judgedSeq = 0,
    more: Partial<Commit> = {},
  ) => commit(operation, await granted(operation, { judgedSeq }), value, more);
  return { begin, granted, commit, fail, mint };
}
