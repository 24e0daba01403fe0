import { afterEach, describe, expect, it, vi } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import type { CredentialId } from '../../src/store/redis/keys.ts';
import { authorize, AUTHORIZER_API } from '../kit/authorizers.ts';
import { callsSince, logged, read, stored } from '../kit/observe.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { valuesOf } from '../kit/redis-shapes/whole.ts';
import { FAILED, NEEDS_PERSON, REFRESHED } from '../kit/scenario.ts';
import { POLLING } from '../kit/waiting.ts';

const THOUSAND: CredentialId[] = Array.from({ length: 1_000 }, (_, index) =>
  authorizerToken(COMPONENT.appid, `wx${index.toString(16).padStart(16, '0')}`),
);
/** Calls for authorizers that one replica has under way at the most. */
const AT_ONCE = 10;
/** As it is unless set, and what two seconds of it are worth after a pause. */
const PER_SECOND = 50;
const BURST = 100;

let platform: TestPlatform;
afterEach(() => platform.close());

async function platformOf(ids: readonly CredentialId[]): Promise<void> {
  platform = await createTestPlatform({ ticket: true });
  await Promise.all(ids.map((id) => authorize(platform, id)));
}

const callsSoFar = () => callsSince(platform, AUTHORIZER_API, 0).length;

/** Every reader of Redis has a value that WeChat takes, and it is looked at again before that ends. */
async function expectAllServed(ids: readonly CredentialId[]): Promise<void> {
  const { redis, keys, simulator, clock } = platform;
  const values = await valuesOf(
    redis,
    ids.map((id) => keys.mirror(id)),
  );
  const live = values.filter((value) => simulator.isLive('authorizer_access_token', value ?? ''));
  expect(live).toHaveLength(ids.length);
  expect(new Set(live).size).toBe(ids.length);
  const index = keys.due('authorizer_access_token', COMPONENT.appid);
  expect(await redis.zcount(index, clock.now(), '+inf')).toBe(ids.length);
  for (const id of ids.slice(0, 3)) {
    expect(await read(platform, id)).toMatchObject({ status: 200, state: 'fresh' });
    expect(await stored(platform, id)).toMatchObject({
      failures: 0,
      locked: false,
      suspect: false,
    });
  }
}

const seqs = (ids: readonly CredentialId[]) =>
  Promise.all(ids.map((id) => platform.redis.hget(platform.keys.record(id), 'seq')));

describe('row 75: a thousand authorizers are due at the same moment', () => {
  it('refreshes each once, fifty a second by all replicas together, ten at a time by each of them', async () => {
    await platformOf(THOUSAND);
    const { app, clock, simulator } = platform;
    const since = clock.now();
    // Answers that wait for the clock show how many calls are under way.
    simulator.addFault({
      api: AUTHORIZER_API,
      times: 2 * AT_ONCE,
      fault: { type: 'delay', ms: 1_000 },
    });
    const first = app.keeper.refreshDue('authorizer_access_token', 'cron');
    await vi.waitFor(() => expect(callsSoFar()).toBe(AT_ONCE), POLLING);
    // Its start makes the other replica go over the same thousand.
    const replica = platform.addReplica();
    await vi.waitFor(() => expect(callsSoFar()).toBe(2 * AT_ONCE), POLLING);
    await clock.advance(1_000);
    expect(await first).toMatchObject({ ok: true });
    await replica;
    await platform.settle();
    for (let second = 1; callsSoFar() < THOUSAND.length; second += 1) {
      expect(callsSoFar()).toBeLessThanOrEqual(BURST + second * PER_SECOND);
      await platform.pass(1_000);
    }
    const calls = callsSince(platform, AUTHORIZER_API, since);
    expect(calls.at(-1)).toBeGreaterThanOrEqual((THOUSAND.length - BURST) / PER_SECOND);
    expect(calls.at(-1)).toBeLessThanOrEqual((THOUSAND.length - BURST) / PER_SECOND + 2);
    await expectAllServed(THOUSAND);
    const refreshed = logged(platform, REFRESHED, 'authorizer_access_token');
    expect(new Set(refreshed.map(({ subject }) => subject)).size).toBe(THOUSAND.length);
    expect(refreshed.every(({ level }) => level === 'info')).toBe(true);
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);

    // Their tokens end within twenty seconds of each other, and are renewed over nine minutes.
    const index = platform.keys.due('authorizer_access_token', COMPONENT.appid);
    const perMinute = await Promise.all(
      Array.from({ length: 10 }, (_, minute) => {
        const from = since + (105 + minute) * MINUTE;
        return platform.redis.zcount(index, from, from + MINUTE - 1);
      }),
    );
    expect(perMinute.reduce((sum, one) => sum + one, 0)).toBe(THOUSAND.length);
    expect(Math.min(...perMinute.slice(0, 9))).toBeGreaterThan(60);
    expect(Math.max(...perMinute)).toBeLessThan(160);
    for (const minute of [108, 111, 115]) {
      clock.sleepThrough(since + minute * MINUTE - clock.now());
      const due = await platform.redis.zcount(index, '-inf', clock.now());
      const before = callsSoFar();
      await platform.pass(15_000);
      expect(due).toBeGreaterThan(200);
      expect(callsSoFar() - before).toBeGreaterThanOrEqual(due);
    }
    expect(callsSoFar()).toBe(2 * THOUSAND.length);
    await expectAllServed(THOUSAND);
    expect(new Set(await seqs(THOUSAND))).toEqual(new Set(['2']));
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);
  });

  it('waits a minute with those for which WeChat says that it is too often (errcode 45011)', async () => {
    const hundred = THOUSAND.slice(0, 100);
    await platformOf(hundred);
    const { simulator } = platform;
    simulator.addFault({
      api: AUTHORIZER_API,
      times: 40,
      fault: { type: 'errcode', errcode: 45011 },
    });
    await platform.pass(15_000);
    expect(callsSoFar()).toBe(100);
    const failed = logged(platform, FAILED, 'authorizer_access_token');
    expect(failed).toHaveLength(40);
    expect(failed[0]).toMatchObject({ level: 'warn', failure: { class: 'rate', errcode: 45011 } });
    const [behind] = hundred.filter((id) => failed.some(({ subject }) => subject === id.subject));
    if (behind === undefined) throw new Error('nobody has to wait');
    const refused = await read(platform, behind);
    expect(refused).toMatchObject({ status: 503, error: { code: 'wechat_unavailable' } });
    expect(refused.retryAfter).toBeGreaterThan(30);
    expect(refused.retryAfter).toBeLessThanOrEqual(60);
    await platform.pass(45_000);
    expect(callsSoFar()).toBe(100);
    await platform.pass(30_000);
    expect(callsSoFar()).toBe(140);
    await expectAllServed(hundred);
  });
});
