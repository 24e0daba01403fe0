import { afterEach, describe, expect, it, vi } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { addExchange } from '../../src/store/authorizers/code-exchange.ts';
import { AUTHORIZED, AUTHORIZER_API } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked } from '../kit/authorizing.ts';
import {
  accountOf,
  C,
  createExchanger,
  entryOf,
  EXCHANGED,
  exchangesKept,
  HEALED,
  LOST,
  opened,
  QUERY,
  REFUSED,
  secondsUntilAlive,
} from '../kit/exchanging.ts';
import { callsSince, logged, read } from '../kit/observe.ts';
import { AUTHORIZER, createTestPlatform, type TestPlatform } from '../kit/platform.ts';
import { POLLING } from '../kit/waiting.ts';

let platform: TestPlatform;
afterEach(async () => platform.close());

/** Stores what an event has brought, as whoever then dies has done before it answered. */
async function storeCode(code: string, authorizer?: string) {
  const { store, clock } = platform;
  const authorizedAt = clock.now();
  const expiresAt = authorizedAt + 600_000;
  return addExchange(store, C, { code, authorizer, authorizedAt, expiresAt });
}

describe('row 88: a replica dies after the event was answered and before the exchange', () => {
  it('another one exchanges the code on its next round', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, redis, keys } = platform;
    await storeCode(simulator.grant(C, AUTHORIZER).code, AUTHORIZER);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 404 });
    expect(await redis.exists(keys.lease('exchange', C))).toBe(0);
    expect(await secondsUntilAlive(platform, 20)).toBeLessThanOrEqual(15);
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(logged(platform, EXCHANGED)).toMatchObject([
      { level: 'info', authorizer: AUTHORIZER, attempts: 1 },
    ]);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
  });

  it('while it held the lease: on the first round after the lease is over', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock, redis, keys } = platform;
    const doomed = createExchanger(platform, 'before send');
    const { code } = simulator.grant(C, AUTHORIZER);
    await storeCode(code, AUTHORIZER);
    void doomed.authorizations.work(C);
    await doomed.stopped;
    const lease = keys.lease('exchange', C);
    expect(await redis.get(lease)).toBe('doomed');
    const left = await redis.pttl(lease);
    expect(left).toBeGreaterThan(15_000);
    expect(left).toBeLessThanOrEqual(25_000);
    // WeChat sends the event to another replica as well: it is stored once, and waits for the lease.
    expect((await authorizedEvent(platform, code)).status).toBe(200);
    await platform.pass(20_000);
    expect(exchangesAsked(platform)).toEqual([]);
    expect(await exchangesKept(platform)).toHaveLength(1);
    await redis.del(lease);
    const since = clock.now();
    expect(await secondsUntilAlive(platform, 20)).toBeLessThanOrEqual(15);
    expect(callsSince(platform, QUERY, since)).toHaveLength(1);
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('row 88: a replica dies between the answer of WeChat and storing it', () => {
  const dieAfterAnswer = async (code: string, authorizer?: string) => {
    const { redis, keys } = platform;
    const doomed = createExchanger(platform, 'after answer');
    await storeCode(code, authorizer);
    void doomed.authorizations.work(C);
    await doomed.stopped;
    // Leases are on Redis's own clock, which no test moves.
    await redis.del(keys.lease('exchange', C));
    expect(exchangesAsked(platform)).toEqual([0]);
    return doomed;
  };

  it('of an account that is known: WeChat names the refresh token', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    await dieAfterAnswer(simulator.grant(C, AUTHORIZER).code, AUTHORIZER);
    expect(await exchangesKept(platform)).toMatchObject([{ maybe_used: true }]);
    const since = clock.now();
    expect(await secondsUntilAlive(platform, 20)).toBeLessThanOrEqual(16);
    expect(exchangesAsked(platform)).toEqual([0, 61009]);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
    expect(logged(platform, REFUSED)).toMatchObject([{ level: 'warn' }]);
    expect(logged(platform, HEALED)).toMatchObject([{ level: 'warn', authorizer: AUTHORIZER }]);
    expect(logged(platform, LOST)).toEqual([]);
  });

  it('of a redirect, whose account nobody knows: WeChat lists it', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = platform;
    const { code } = simulator.grant(C, AUTHORIZER);
    await dieAfterAnswer(code);
    const other = createExchanger(platform, 'never', 'other');
    await other.authorizations.work(C);
    expect(other.lost).toEqual([C]);
    expect(await exchangesKept(platform)).toMatchObject([{ outcome: 'expired', maybe_used: true }]);
    expect(exchangesAsked(platform)).toEqual([0, 61009]);
    expect(other.logs.filter(({ message }) => message === REFUSED)).toMatchObject([
      { level: 'warn', component: C, attempts: 1, failure: { errcode: 61009 } },
    ]);
    await other.authorizations.stop();
  });

  it('of a redirect: the service reads the list by itself', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    const { code } = simulator.grant(C, AUTHORIZER);
    await dieAfterAnswer(code);
    const since = clock.now();
    expect(await secondsUntilAlive(platform, 40)).toBeLessThanOrEqual(20);
    expect(callsSince(platform, 'api_get_authorizer_list', since)).toHaveLength(1);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
    // Whoever reloads the page later is told to begin again, which does no harm.
    expect(await opened(platform, await donePage(platform, code, { lang: 'en' }))).toMatch(
      /again/i,
    );
  });

  it('but only seemed dead: what it holds is stored when it wakes up, and nothing newer is lost', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = platform;
    const doomed = await dieAfterAnswer(simulator.grant(C, AUTHORIZER).code, AUTHORIZER);
    await secondsUntilAlive(platform, 20);
    doomed.wake();
    await doomed.authorizations.idle();
    await platform.settle();
    // The token in its hands was ended by the refresh that came after it.
    await secondsUntilAlive(platform, 120);
    await platform.pass(60_000);
    expect(await secondsUntilAlive(platform, 1)).toBe(0);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
  });
});

describe('a replica is stopped while it exchanges codes', () => {
  it('ends what it has begun, begins nothing more, and another one goes on at once', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock, app, redis, keys } = platform;
    const delay = { type: 'delay', ms: 2_000 } as const;
    simulator.addFault({ api: QUERY, afterMint: true, fault: delay });
    const accounts = [accountOf(1), accountOf(2)];
    for (const account of accounts) {
      const { code } = simulator.grant(C, account);
      expect((await simulator.pushAuthorized(C, account, code)).status).toBe(200);
    }
    await vi.waitFor(() => expect(exchangesAsked(platform)).toEqual([0]), POLLING);
    const stopped = app.stop();
    await clock.advance(2_000);
    await stopped;
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(await redis.exists(keys.lease('exchange', C))).toBe(0);
    const outcomes = async () =>
      (await exchangesKept(platform)).map(({ outcome }) => outcome).filter(Boolean);
    expect(await outcomes()).toEqual(['authorized']);

    const since = clock.now();
    await platform.addReplica();
    await platform.pass(15_000);
    expect(callsSince(platform, QUERY, since)).toHaveLength(1);
    expect(exchangesAsked(platform)).toEqual([0, 0]);
    expect(await outcomes()).toEqual(['authorized', 'authorized']);
    for (const account of accounts) {
      const id = authorizerToken(C, account);
      const value = await redis.get(keys.mirror(id));
      expect(simulator.isLive(id.kind, value ?? '')).toBe(true);
    }
  });
});
