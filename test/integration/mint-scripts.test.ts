import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { createKeys } from '../../src/store/keys.ts';
import {
  beginMint,
  commitMint,
  failMint,
  readHistory,
  readRecord,
  takeValue,
  type BeginResult,
} from '../../src/store/records.ts';
import type { Store } from '../../src/store/store.ts';
import { CODE, TOKEN } from '../support/liveness.ts';

/** The refresh protocol's steps one by one, in orders that whole processes rarely produce. */

const NOW = Date.UTC(2026, 10, 21);
const LIFE = 7_200_000;
const ERROR = { class: 'retry', message: 'busy', advice: 'wait' };

describe('the scripts that guard a mint', () => {
  let store: Store;
  beforeEach(() => {
    const prefix = `test${randomBytes(6).toString('hex')}:`;
    store = { redis: new Redis(inject('redisUrl')), keys: createKeys(prefix) };
  });
  afterEach(() => store.redis.disconnect());

  const begin = (operation: string, more: Partial<Parameters<typeof beginMint>[2]> = {}) =>
    beginMint(store, TOKEN, {
      operation,
      now: NOW,
      leaseMs: 600_000,
      judgedSeq: 0,
      ignoreBackoff: false,
      ...more,
    });
  const granted = async (result: Promise<BeginResult>): Promise<number> => {
    const begun = await result;
    if (begun.outcome !== 'granted') throw new Error(`not granted: ${begun.outcome}`);
    return begun.begin;
  };
  const commit = (
    operation: string,
    at: number,
    value: string,
    more: Partial<Parameters<typeof commitMint>[2]> = {},
    id: Parameters<typeof commitMint>[1] = TOKEN,
  ) =>
    commitMint(store, id, {
      operation,
      begin: at,
      value,
      now: NOW,
      obtainedAt: NOW,
      expiresAt: NOW + LIFE,
      reason: `by ${operation}`,
      replica: 'tests',
      doubtful: false,
      ...more,
    });
  const fail = (operation: string, mayHaveMinted = false) =>
    failMint(store, TOKEN, {
      operation,
      now: NOW,
      error: ERROR,
      retryAt: NOW + 5_000,
      mayHaveMinted,
    });
  const mirror = () => store.redis.get(store.keys.mirror(TOKEN));

  describe('begin', () => {
    it('is granted to one operation and locks out every other', async () => {
      await granted(begin('first'));
      const other = await begin('second');
      expect(other.outcome).toBe('locked');
      const left = other.outcome === 'locked' ? other.leftMs : Number.NaN;
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(600_000);
    });

    it('gives the same operation the same answer again', async () => {
      const first = await granted(begin('first'));
      expect(await granted(begin('first'))).toBe(first);
      expect(await granted(begin('first', { judgedSeq: 99 }))).toBe(first);
    });

    it('is granted to one of many that ask at the same moment', async () => {
      const names = Array.from({ length: 50 }, (_, index) => `operation ${index}`);
      const outcomes = await Promise.all(names.map(async (name) => (await begin(name)).outcome));
      expect(outcomes.filter((one) => one === 'granted')).toHaveLength(1);
      expect(outcomes.filter((one) => one === 'locked')).toHaveLength(49);
    });

    it('is granted to another when the lease has ended, whatever the clocks of the replicas say', async () => {
      const first = await granted(begin('first', { leaseMs: 0, now: NOW + LIFE }));
      expect(await granted(begin('second', { now: NOW - LIFE }))).toBeGreaterThan(first);
    });

    it('is refused when the record was refreshed after it was judged', async () => {
      await commit('first', await granted(begin('first')), 'one');
      expect(await begin('second')).toEqual({ outcome: 'changed' });
      await granted(begin('second', { judgedSeq: 1 }));
    });

    it('is refused until the back-off is over, unless that is to be ignored', async () => {
      await granted(begin('first'));
      await fail('first');
      const refused = { outcome: 'backoff', until: NOW + 5_000 };
      expect(await begin('second', { now: NOW + 4_999 })).toEqual(refused);
      await granted(begin('second', { now: NOW + 5_000 }));
      await fail('second');
      await granted(begin('third', { ignoreBackoff: true }));
    });

    it('does not obey a back-off that a wrong clock wrote days ahead', async () => {
      await granted(begin('first'));
      await fail('first');
      await granted(begin('second', { now: NOW - 48 * 3_600_000 }));
    });
  });

  describe('commit', () => {
    it('stores the value, gives the lock back and forgets the failures', async () => {
      await granted(begin('first'));
      await fail('first');
      const at = await granted(begin('second', { ignoreBackoff: true }));
      expect(await commit('second', at, 'one')).toEqual({ outcome: 'stored', seq: 1 });
      expect(await readRecord(store, TOKEN)).toMatchObject({
        ...{ value: 'one', seq: 1, expiresAt: NOW + LIFE, obtainedAt: NOW },
        ...{ taken: false, suspect: false, failures: 0, retryAt: 0 },
        ...{ reason: 'by second', replica: 'tests' },
      });
      expect(await mirror()).toBe('one');
      await granted(begin('third', { judgedSeq: 1 }));
    });

    it('changes nothing when it is repeated', async () => {
      const at = await granted(begin('first'));
      await commit('first', at, 'one');
      const before = await store.redis.hgetall(store.keys.record(TOKEN));
      expect(await commit('first', at, 'one')).toEqual({ outcome: 'stored', seq: 1 });
      expect(await store.redis.hgetall(store.keys.record(TOKEN))).toEqual(before);
      expect(await readHistory(store, TOKEN)).toHaveLength(1);
    });

    it('keeps the stored value when two mints overlapped, and says that the order is unknown', async () => {
      const slow = await granted(begin('slow', { leaseMs: 0 }));
      const quick = await granted(begin('quick'));
      await commit('quick', quick, 'of quick');
      expect(await commit('slow', slow, 'of slow')).toEqual({ outcome: 'overlapped', seq: 1 });
      expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'of quick', suspect: true });
      expect(await mirror()).toBe('of quick');
      const settling = await granted(begin('settling', { judgedSeq: 1, ignoreBackoff: true }));
      expect(await readRecord(store, TOKEN)).toMatchObject({ suspect: true });
      expect(await commit('settling', settling, 'newest')).toEqual({ outcome: 'stored', seq: 2 });
      expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'newest', suspect: false });
    });

    it('never lets a mint that began earlier end the doubt that arose after it', async () => {
      const lost = await granted(begin('lost', { leaseMs: 0 }));
      const next = await granted(begin('next'));
      expect(next).toBeGreaterThan(lost);
      await fail('lost', true);
      expect(await commit('next', next, 'one')).toEqual({ outcome: 'stored', seq: 1 });
      expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: true });
    });

    it('marks a value whose own call may have minted twice', async () => {
      await commit('first', await granted(begin('first')), 'one', { doubtful: true });
      expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: true });
      const at = await granted(begin('second', { judgedSeq: 1, ignoreBackoff: true }));
      await commit('second', at, 'two');
      expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'two', suspect: false });
    });

    it('does not take the lock away from whoever has it by now', async () => {
      const slow = await granted(begin('slow', { leaseMs: 0 }));
      await granted(begin('quick'));
      expect(await commit('slow', slow, 'of slow')).toEqual({ outcome: 'stored', seq: 1 });
      expect((await begin('third', { judgedSeq: 1 })).outcome).toBe('locked');
    });

    it('keeps the seq when WeChat gave the same value a longer life', async () => {
      await commit('first', await granted(begin('first')), 'one');
      const at = await granted(begin('second', { judgedSeq: 1 }));
      const expiresAt = NOW + 2 * LIFE;
      const stored = { outcome: 'stored', seq: 1 };
      expect(await commit('second', at, 'one', { expiresAt })).toEqual(stored);
      expect(await readRecord(store, TOKEN)).toMatchObject({ expiresAt });
    });

    it('lets the mirror live as long as the value really does, counted from the commit', async () => {
      const at = await granted(begin('first'));
      await commit('first', at, 'one', { now: NOW + LIFE - 600_000 });
      const left = await store.redis.pttl(store.keys.mirror(TOKEN));
      expect(left).toBeLessThanOrEqual(600_000);
      expect(left).toBeGreaterThan(300_000);
    });

    it('leaves no mirror of a value that was dead on arrival', async () => {
      await commit('first', await granted(begin('first')), 'one');
      const at = await granted(begin('second', { judgedSeq: 1 }));
      await commit('second', at, 'two', { now: NOW + LIFE });
      expect(await mirror()).toBeNull();
    });

    it('announces each new value without telling it', async () => {
      const listener = store.redis.duplicate();
      const messages: string[] = [];
      listener.on('message', (_channel, message: string) => messages.push(message));
      await listener.subscribe(store.keys.rotations);
      const at = await granted(begin('first'));
      await commit('first', at, 'the secret value');
      await commit('first', at, 'the secret value');
      await store.redis.publish(store.keys.rotations, 'end');
      await vi.waitFor(() => expect(messages.at(-1)).toBe('end'), { timeout: 20_000 });
      expect(messages).toHaveLength(2);
      expect(JSON.parse(messages[0] ?? '')).toEqual({
        ...{ kind: TOKEN.kind, subject: TOKEN.subject, seq: 1, expires_at: NOW + LIFE },
      });
      listener.disconnect();
    });

    it('keeps a history, newest first, without a value', async () => {
      await commit('first', await granted(begin('first')), 'secret one');
      await commit('second', await granted(begin('second', { judgedSeq: 1 })), 'secret two');
      expect(await readHistory(store, TOKEN)).toEqual(
        [2, 1].map((seq) => ({
          ...{ seq, obtainedAt: NOW, expiresAt: NOW + LIFE, replica: 'tests' },
          reason: seq === 2 ? 'by second' : 'by first',
        })),
      );
      const raw = await store.redis.lrange(store.keys.history(TOKEN), 0, -1);
      expect(raw.join()).not.toContain('secret');
    });
  });

  describe('fail', () => {
    it('gives the lock back, counts, and leaves the value alone', async () => {
      await commit('first', await granted(begin('first')), 'one');
      await granted(begin('second', { judgedSeq: 1 }));
      await fail('second');
      expect(await readRecord(store, TOKEN)).toMatchObject({
        ...{ value: 'one', seq: 1, failures: 1, retryAt: NOW + 5_000, suspect: false },
        ...{ lastError: ERROR, lastErrorAt: NOW },
      });
      expect(await mirror()).toBe('one');
      await granted(begin('third', { judgedSeq: 1, ignoreBackoff: true }));
    });

    it('is for the holder only; another may at most raise a doubt', async () => {
      await granted(begin('slow', { leaseMs: 0 }));
      await granted(begin('quick'));
      await fail('slow', true);
      await fail('stranger');
      expect(await readRecord(store, TOKEN)).toMatchObject({
        ...{ failures: 0, retryAt: 0, lastError: undefined, suspect: true },
      });
      expect((await begin('third')).outcome).toBe('locked');
    });
  });

  describe('take', () => {
    const stock = () => commit('first', 1, 'code', {}, CODE);

    it('gives a value to one of many that ask at the same moment, and takes it off the mirror', async () => {
      await stock();
      const takes = await Promise.all(
        Array.from({ length: 20 }, () => takeValue(store, CODE, NOW)),
      );
      expect(takes.filter((one) => one !== undefined)).toEqual([
        { value: 'code', expiresAt: NOW + LIFE, seq: 1, obtainedAt: NOW },
      ]);
      expect(await store.redis.get(store.keys.mirror(CODE))).toBeNull();
      expect(await readRecord(store, CODE)).toMatchObject({ taken: true });
    });

    it('gives nothing when somebody took it off the mirror, and nothing that is over', async () => {
      expect(await takeValue(store, CODE, NOW)).toBeUndefined();
      await stock();
      expect(await takeValue(store, CODE, NOW + LIFE)).toBeUndefined();
      await store.redis.getdel(store.keys.mirror(CODE));
      expect(await takeValue(store, CODE, NOW)).toBeUndefined();
      expect(await readRecord(store, CODE)).toMatchObject({ taken: true });
    });

    it('gives the next value after it was committed', async () => {
      await stock();
      await takeValue(store, CODE, NOW);
      await commit('second', 3, 'another', {}, CODE);
      expect(await readRecord(store, CODE)).toMatchObject({ taken: false });
      expect(await takeValue(store, CODE, NOW)).toMatchObject({ value: 'another', seq: 2 });
    });
  });
});
