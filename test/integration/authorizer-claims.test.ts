import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  authorizerToken,
  awaitReauthorization,
  grantAuthorization,
  revokeAuthorization,
} from '../../src/store/authorizers/authorization.ts';
import {
  claimDue,
  dueBacklog,
  forgetCheck,
  planCheck,
} from '../../src/store/authorizers/due-queue.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { CLOCK_START as NOW } from '../kit/clock.ts';
import { COMPONENT } from '../kit/platform.ts';
import { countCommands } from '../kit/redis-commands.ts';
import { createTestStore, type TestStore } from '../kit/store.ts';

/** Who may refresh which authorizer, and how many of them a second, on the real Redis. */

const KIND = 'authorizer_access_token';
const CLAIM_MS = 30_000;
const PACE = { perSecond: 50, burst: 100 };
/** So fast that it does not count. */
const UNLIMITED = { perSecond: 1e6, burst: 1e6 };

let store: TestStore;
beforeEach(() => {
  store = createTestStore();
});
afterEach(() => store.close());

const appidOf = (number: number) => `wx${number.toString(16).padStart(16, '0')}`;
const index = () => store.keys.due(KIND, COMPONENT.appid);
const paceKey = () => store.keys.pace(COMPONENT.appid);

/** All of them due since `at`, or the first since then and each a millisecond later. */
async function plan(count: number, at = NOW, apartMs = 0): Promise<string[]> {
  const appids = Array.from({ length: count }, (_, number) => appidOf(number));
  const flat = appids.flatMap((appid, number) => [String(at + number * apartMs), appid]);
  await store.redis.zadd(index(), ...flat);
  return appids;
}

async function claim(limit = 20, pace = UNLIMITED, component = COMPONENT.appid) {
  const { ids, moreInMs } = await claimDue(store, KIND, component, limit, pace);
  for (const { kind, subject } of ids) {
    expect(kind).toBe(KIND);
    expect(subject.startsWith(`${component}:`)).toBe(true);
  }
  const appids = ids.map(({ subject }) => subject.slice(component.length + 1));
  return { appids, moreInMs };
}

/** Claims again and again until there is nothing more to be had now. */
async function claimAll(pace = PACE): Promise<{ appids: string[]; moreInMs: number | undefined }> {
  const appids: string[] = [];
  for (;;) {
    const one = await claim(20, pace);
    appids.push(...one.appids);
    if (one.moreInMs === undefined || one.appids.length < 20) {
      return { appids, moreInMs: one.moreInMs };
    }
  }
}

describe('a claim on authorizers that are due', () => {
  it('takes those that waited longest first, and says whether that was all', async () => {
    const appids = await plan(50, NOW - 50, 1);
    expect(await claim()).toEqual({ appids: appids.slice(0, 20), moreInMs: 1 });
    expect(await claim()).toEqual({ appids: appids.slice(20, 40), moreInMs: 1 });
    expect(await claim()).toEqual({ appids: appids.slice(40), moreInMs: undefined });
    expect(await claim()).toEqual({ appids: [], moreInMs: undefined });
  });

  it('says that nothing more is due when the last of them were just as many as asked for', async () => {
    const appids = await plan(20);
    expect(await claim()).toEqual({ appids, moreInMs: undefined });
  });

  it('takes none before its time, but in the very millisecond', async () => {
    await plan(2, NOW + 1, 1);
    expect((await claim()).appids).toEqual([]);
    await store.clock.advance(1);
    expect((await claim()).appids).toEqual([appidOf(0)]);
    await store.clock.advance(1);
    expect((await claim()).appids).toEqual([appidOf(1)]);
  });

  it('never gives two claimers the same', async () => {
    const appids = await plan(500);
    const claims = await Promise.all(Array.from({ length: 40 }, () => claim()));
    const taken = claims.flatMap((one) => one.appids);
    expect(taken.toSorted()).toEqual(appids);
    expect(claims.filter((one) => one.appids.length === 20)).toHaveLength(25);
  });

  it('ends after thirty seconds, for those whose claimer has died', async () => {
    const appids = await plan(3);
    expect((await claim()).appids).toEqual(appids);
    expect(await dueBacklog(store, KIND, COMPONENT.appid)).toMatchObject({ planned: 3, due: 0 });
    await store.clock.advance(CLAIM_MS - 1);
    expect((await claim()).appids).toEqual([]);
    await store.clock.advance(1);
    expect(await dueBacklog(store, KIND, COMPONENT.appid)).toEqual({
      planned: 3,
      due: 3,
      oldestAt: NOW + CLAIM_MS,
    });
    expect((await claim()).appids).toEqual(appids);
  });

  it('ends at once when its claimer says when to look next', async () => {
    await plan(2);
    await claim();
    await planCheck(store, authorizerToken(COMPONENT.appid, appidOf(1)), NOW + 5_000);
    await store.clock.advance(5_000);
    expect((await claim()).appids).toEqual([appidOf(1)]);
  });

  it('knows the authorizers and the pace of each platform apart', async () => {
    await plan(1);
    const other = 'wxfedcba9876543210';
    await planCheck(store, authorizerToken(other, appidOf(7)), NOW);
    const slow = { perSecond: 1, burst: 1 };
    expect((await claim(20, slow)).appids).toEqual([appidOf(0)]);
    expect((await claim(20, slow, other)).appids).toEqual([appidOf(7)]);
  });

  it('goes by the clock of Redis outside of tests', async () => {
    const { time, ...rest } = store;
    const [seconds = 0] = await store.redis.time();
    const real = { ...rest, time: { ...time, forScripts: () => undefined } };
    await plan(2, seconds * 1000, 3_600_000);
    const { ids } = await claimDue(real, KIND, COMPONENT.appid, 20, UNLIMITED);
    expect(ids).toEqual([authorizerToken(COMPONENT.appid, appidOf(0))]);
    const score = Number(await store.redis.zscore(index(), appidOf(0)));
    expect(score - seconds * 1000).toBeGreaterThanOrEqual(CLAIM_MS);
    expect(score - seconds * 1000).toBeLessThan(CLAIM_MS + 10_000);
  });
});

describe('the pace', () => {
  it('lets two seconds’ worth go at once, then as many a second as the setting says', async () => {
    await plan(1_000);
    expect((await claimAll()).appids).toHaveLength(100);
    expect(await claim(20, PACE)).toEqual({ appids: [], moreInMs: 400 });
    let taken = 100;
    for (let second = 1; second <= 10; second += 1) {
      await store.clock.advance(1_000);
      taken += (await claimAll()).appids.length;
      expect(taken).toBe(100 + second * 50);
    }
  });

  it('counts to the millisecond, and forgets no part of one that was too small', async () => {
    await plan(1_000);
    await claimAll();
    await store.clock.advance(19);
    expect(await claim(20, PACE)).toEqual({ appids: [], moreInMs: 381 });
    await store.clock.advance(1);
    expect((await claim(20, PACE)).appids).toHaveLength(1);
    for (let step = 0; step < 7; step += 1) {
      await store.clock.advance(3);
      await claim(20, PACE);
    }
    expect(await store.redis.zcount(index(), '-inf', NOW)).toBe(1_000 - 100 - 2);
    // 20 and 21 and 379 ms are 21 authorizers, whatever was asked in between.
    await store.clock.advance(379);
    expect((await claim(20, PACE)).appids).toHaveLength(19);
  });

  it('says when to come again: when as many may be had as are taken at a time', async () => {
    await plan(1_000);
    const { moreInMs = 0 } = await claimAll();
    expect(moreInMs).toBe(400);
    await store.clock.advance(moreInMs);
    expect((await claim(20, PACE)).appids).toHaveLength(20);
  });

  it('goes on at one a second, too', async () => {
    await plan(5);
    const slow = { perSecond: 1, burst: 2 };
    expect(await claim(20, slow)).toEqual({ appids: [appidOf(0), appidOf(1)], moreInMs: 2_000 });
    await store.clock.advance(999);
    expect((await claim(20, slow)).appids).toEqual([]);
    await store.clock.advance(1);
    expect((await claim(20, slow)).appids).toEqual([appidOf(2)]);
  });

  it('saves up no more than the burst, however long nothing was due', async () => {
    await plan(1_000);
    await claimAll();
    await store.clock.advance(86_400_000);
    expect((await claimAll()).appids).toHaveLength(100);
  });

  it('is one for all who ask', async () => {
    await plan(1_000);
    const claims = await Promise.all(Array.from({ length: 20 }, () => claim(20, PACE)));
    expect(claims.flatMap((one) => one.appids)).toHaveLength(100);
  });

  it('goes on at the same pace when the clock is set back', async () => {
    await plan(1_000, NOW - 86_400_000);
    await claimAll();
    store.clock.jumpStoreClock(-3_600_000);
    expect((await claim(20, PACE)).appids).toEqual([]);
    await store.clock.advance(1_000);
    expect((await claimAll()).appids).toHaveLength(50);
    store.clock.jumpStoreClock(3_600_000);
    expect((await claimAll()).appids).toHaveLength(100);
  });
});

describe('when nothing is due', () => {
  it('a claim costs one look at the index, and writes nothing', async () => {
    await plan(1_000, NOW + 1);
    const before = await store.redis.zrange(index(), '0', '-1', 'WITHSCORES');
    const counts = await countCommands(store.redis, async () => {
      expect(await claim()).toEqual({ appids: [], moreInMs: undefined });
    });
    // Other tests use this Redis meanwhile: what they write there is not what a claim would.
    expect(counts['zrangebyscore']).toBeGreaterThan(0);
    expect(await store.redis.exists(paceKey())).toBe(0);
    expect(await store.redis.zrange(index(), '0', '-1', 'WITHSCORES')).toEqual(before);
  });

  it('uses up nothing of the pace, and saves nothing up', async () => {
    await plan(100);
    await claimAll();
    const pace = await store.redis.hgetall(paceKey());
    expect(pace).toEqual({ at: String(NOW), left: '0' });
    expect((await claim(20, PACE)).appids).toEqual([]);
    expect(await store.redis.hgetall(paceKey())).toEqual(pace);
  });
});

describe('keys that somebody has spoiled', () => {
  it.each([
    ['whose time is no number', () => store.redis.hset(paceKey(), { at: 'x', left: 100 })],
    ['whose rest is no number', () => store.redis.hset(paceKey(), { at: NOW, left: 'x' })],
    ['of another type', () => store.redis.set(paceKey(), 'spoiled')],
  ])('a pace %s is made anew', async (_, spoil) => {
    const appids = await plan(5);
    await spoil();
    expect((await claim(20, PACE)).appids).toEqual(appids);
    const { at, left } = await store.redis.hgetall(paceKey());
    expect([Number(at), Number(left)].every(Number.isFinite)).toBe(true);
  });

  it('an index of another type goes, and is filled anew', async () => {
    await store.redis.set(index(), 'spoiled');
    expect(await claim(20, PACE)).toEqual({ appids: [], moreInMs: undefined });
    expect(await store.redis.exists(index(), paceKey())).toBe(0);
    const appids = await plan(5);
    expect((await claim(20, PACE)).appids).toEqual(appids);
  });
});

describe('an authorizer that is taken out by whoever read its record a moment ago', () => {
  const id = authorizerToken(COMPONENT.appid, appidOf(1));
  const planned = () => store.redis.zscore(index(), appidOf(1));
  const authorizes = () =>
    grantAuthorization(store, id, { refreshToken: 'refreshtoken@@@new', authorizedAt: NOW });

  it('stays when it has authorized meanwhile', async () => {
    await authorizes();
    await planCheck(store, id, NOW);
    await forgetCheck(store, id);
    expect(await planned()).toBe(String(NOW));
  });

  it.each([
    ['has ended its authorization', () => revokeAuthorization(store, id, NOW)],
    [
      'must authorize again',
      async () => awaitReauthorization(store, id, await readRecord(store, id)),
    ],
    ['is not known at all', () => store.redis.del(store.keys.record(id))],
  ])('goes when it %s', async (_, end) => {
    await authorizes();
    await planCheck(store, id, NOW);
    await end();
    await forgetCheck(store, id);
    expect(await planned()).toBeNull();
  });
});
