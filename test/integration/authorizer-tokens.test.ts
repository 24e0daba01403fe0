import { afterEach, describe, expect, it, vi } from 'vitest';
import { revokeAuthorization } from '../../src/store/authorizers/authorization.ts';
import { readAuthorizer } from '../../src/store/authorizers/profile.ts';
import {
  authorizationOf,
  authorize,
  AUTHORIZED,
  AUTHORIZER_API,
  mintsFor,
  platformBeforeAuthorizerRefresh,
} from '../kit/authorizers.ts';
import { expectServed } from '../kit/expect.ts';
import { callsSince, logged, read, stored } from '../kit/observe.ts';
import { AUTHORIZER, COMPONENT, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { FAILED, NEEDS_PERSON, REFRESHED } from '../kit/scenario.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

/** Seconds: an authorizer that is due is found by the next patrol. */
const ROUND = 15;
/** Seconds between two refusals of which nobody knows whether a person is needed. */
const UNKNOWN_RETRY = 600;
const DROPPED = 'a minted token belongs to an authorization that has ended; dropped';
const NOTHING_KEPT = { value: undefined, expires_at: undefined, mirror: null };

const INFO_API = 'api_get_authorizer_info';

let platform: TestPlatform;
const failures = () => [...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)];
afterEach(() => platform.close());

/** Seconds, one by one, until the authorizer's value is one that WeChat takes. */
async function secondsUntilServed(limit: number): Promise<number> {
  for (let second = 1; second <= limit; second += 1) {
    await platform.pass(1_000);
    const { kept } = await stored(platform, AUTHORIZED);
    if (platform.simulator.isLive(AUTHORIZED.kind, kept.mirror ?? '')) return second;
  }
  throw new Error(`nothing was minted within ${limit} s`);
}

/** Nothing of it can be had again, and the merchant must come: until then nobody asks WeChat. */
async function expectToldAndHealed(since: number, errcode: number): Promise<void> {
  const { store, simulator } = platform;
  expect(await authorizationOf(platform)).toMatchObject({
    revoked: false,
    awaitsReauthorization: true,
  });
  expect(await readAuthorizer(store, COMPONENT.appid, AUTHORIZER)).toMatchObject({
    state: 'reauthorize',
  });
  expect(logged(platform, NEEDS_PERSON)).toMatchObject([
    {
      level: 'error',
      kind: AUTHORIZED.kind,
      subject: AUTHORIZED.subject,
      failures: 1,
      failure: { class: 'reauthorize', errcode },
    },
  ]);
  expect(JSON.stringify(logged(platform, NEEDS_PERSON))).toContain('open the authorization page');

  await platform.pass(14 * MINUTE);
  const refused = await read(platform, AUTHORIZED);
  expect(refused).toMatchObject({ status: 410, error: { code: 'authorizer_revoked' } });
  expect(refused.error?.message).toMatch(/must authorize.*again/);
  // Looked at no more, for as long as it takes.
  expect((await authorizationOf(platform)).lookAt).toBeUndefined();
  await platform.pass(HOUR / 2);
  expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
  expect(logged(platform, NEEDS_PERSON, AUTHORIZED.kind)).toHaveLength(1);

  simulator.clearFaults();
  await authorize(platform);
  expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
  await expectServed(platform, { seq: 2 });
}

describe('row 43: WeChat says that the account has not authorized us (errcode 61003)', () => {
  it('asks once, tells a person, serves the value to its end, and heals with the next authorization', async () => {
    platform = await platformBeforeAuthorizerRefresh();
    const before = await stored(platform, AUTHORIZED);
    platform.simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    const since = platform.clock.now();
    await platform.pass(2 * MINUTE);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
    // There is nothing to ask about an account that is not ours.
    expect(callsSince(platform, INFO_API, since)).toEqual([]);
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      state: 'due',
      source: 'redis',
    });
    expect(await stored(platform, AUTHORIZED)).toEqual({ ...before, failures: 1 });
    await expectToldAndHealed(since, 61003);
  });
});

describe('row 43: WeChat says that the refresh token is void (errcode 61023)', () => {
  const voidToken = { type: 'errcode', errcode: 61023 } as const;

  it.each([
    { name: 'the same', fields: undefined },
    { name: 'none', fields: { authorizer_appid: AUTHORIZER, func_info: [] } },
    {
      name: 'an empty one',
      fields: { authorizer_appid: AUTHORIZER, authorizer_refresh_token: '', func_info: [] },
    },
  ])('tells a person when WeChat names $name if asked for another', async ({ fields }) => {
    platform = await platformBeforeAuthorizerRefresh();
    const { simulator, clock } = platform;
    const before = await stored(platform, AUTHORIZED);
    const { refreshToken } = await authorizationOf(platform);
    simulator.addFault({ api: AUTHORIZER_API, times: 'forever', fault: voidToken });
    if (fields !== undefined) {
      const fault = { type: 'patch', fields: { authorization_info: fields } } as const;
      simulator.addFault({ api: INFO_API, fault });
    }
    const since = clock.now();
    await platform.pass(2 * MINUTE);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
    expect(callsSince(platform, INFO_API, since)).toHaveLength(1);
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      state: 'due',
      source: 'redis',
    });
    expect(await stored(platform, AUTHORIZED)).toEqual({ ...before, failures: 1 });
    expect(await authorizationOf(platform)).toMatchObject({ refreshToken });
    await expectToldAndHealed(since, 61023);
  });

  it('goes on by itself when WeChat names another one: the account authorized anew, and nobody told us', async () => {
    platform = await platformBeforeAuthorizerRefresh();
    const { simulator, clock, store } = platform;
    const before = await stored(platform, AUTHORIZED);
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const since = clock.now();
    await secondsUntil(platform, 60 + ROUND, async () => {
      expect(callsSince(platform, INFO_API, since)).toHaveLength(1);
      expect((await stored(platform, AUTHORIZED)).failures).toBe(1);
    });
    expect(await stored(platform, AUTHORIZED)).toEqual({ ...before, failures: 1 });
    expect(await authorizationOf(platform)).toMatchObject({
      refreshToken,
      revoked: false,
      awaitsReauthorization: false,
    });
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(platform, { seq: 2, refreshToken });
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(2);
    expect(callsSince(platform, INFO_API, since)).toHaveLength(1);
    expect(failures()).toMatchObject([{ failures: 1, failure: { errcode: 61023 } }]);
    expect(await readAuthorizer(store, COMPONENT.appid, AUTHORIZER)).not.toMatchObject({
      state: 'reauthorize',
    });
  });

  it('gives nothing up while WeChat cannot be asked for another one', async () => {
    platform = await platformBeforeAuthorizerRefresh();
    const { simulator, clock } = platform;
    const former = (await authorizationOf(platform)).refreshToken;
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    simulator.addFault({ api: INFO_API, fault: { type: 'status', status: 502 } });
    const since = clock.now();
    await secondsUntil(platform, 60 + ROUND, () => {
      expect(simulator.faults).toEqual([]);
      return Promise.resolve();
    });
    expect(await authorizationOf(platform)).toMatchObject({
      refreshToken: former,
      awaitsReauthorization: false,
    });
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, seq: 1, state: 'due' });
    // The next refusal asks again.
    expect(await secondsUntilServed(UNKNOWN_RETRY + 2 * ROUND)).toBeGreaterThan(0);
    await expectServed(platform, { seq: 2, refreshToken });
    expect(callsSince(platform, INFO_API, since)).toHaveLength(2);
    expect(failures()).toHaveLength(2);
  });
});

/** The token is due, and the call that renews it waits for its answer. */
async function refreshInFlight(minted: boolean): Promise<{ answer: () => Promise<void> }> {
  platform = await platformBeforeAuthorizerRefresh();
  const { simulator, clock, app } = platform;
  await clock.advance(0);
  const since = clock.now();
  simulator.addFault({
    api: AUTHORIZER_API,
    afterMint: minted,
    fault: { type: 'delay', ms: 5_000 },
  });
  clock.sleepThrough(MINUTE);
  const looking = app.keeper.ensureFresh(AUTHORIZED, 'patrol');
  await vi.waitFor(
    () => expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1),
    POLLING,
  );
  expect((await stored(platform, AUTHORIZED)).locked).toBe(true);
  return {
    async answer() {
      await clock.advance(5_000);
      await looking;
      await platform.settle();
    },
  };
}

describe('row 70: the authorization ends while its token is being refreshed', () => {
  it('drops the minted token; the tombstone stays, and callers are told', async () => {
    const { answer } = await refreshInFlight(true);
    const { store, simulator, clock } = platform;
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    expect(await revokeAuthorization(store, AUTHORIZED, clock.now())).toBe('revoked');
    await answer();
    const since = clock.now();

    expect(mintsFor(platform)).toHaveLength(3);
    expect(logged(platform, DROPPED)).toMatchObject([
      { level: 'info', kind: AUTHORIZED.kind, subject: AUTHORIZED.subject },
    ]);
    expect(logged(platform, REFRESHED, AUTHORIZED.kind)).toHaveLength(1);
    expect(await stored(platform, AUTHORIZED)).toMatchObject({
      kept: NOTHING_KEPT,
      locked: false,
      suspect: false,
    });
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 410,
      error: { code: 'authorizer_revoked' },
    });
    await platform.pass(ROUND * 1_000);
    expect(await authorizationOf(platform)).toEqual({
      refreshToken: undefined,
      lookAt: undefined,
      revoked: true,
      awaitsReauthorization: false,
    });
    await platform.pass(HOUR);
    expect(callsSince(platform, AUTHORIZER_API, since)).toEqual([]);
    expect((await stored(platform, AUTHORIZED)).kept).toMatchObject(NOTHING_KEPT);
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);
  });
});

describe('row 71: the account authorizes again while its token is being refreshed', () => {
  it('keeps the new refresh token and mints with it; what the old one brought is dropped', async () => {
    const { answer } = await refreshInFlight(true);
    const refreshToken = await authorize(platform);
    await answer();
    expect(logged(platform, DROPPED)).toMatchObject([{ level: 'info', kind: AUTHORIZED.kind }]);
    expect(await authorizationOf(platform)).toMatchObject({ refreshToken, revoked: false });
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(platform, { seq: 2, refreshToken });
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);
  });

  it('does not wait for the old call; one more mint settles which token its late answer left alive', async () => {
    const { answer } = await refreshInFlight(true);
    const refreshToken = await authorize(platform);
    const other = await platform.addReplica();
    await other.keeper.ensureFresh(AUTHORIZED, 'read');
    const before = await stored(platform, AUTHORIZED);
    expect(before).toMatchObject({ locked: false, kept: { seq: '2' } });
    await answer();
    expect(logged(platform, DROPPED)).toHaveLength(1);
    await platform.pass(ROUND * 1_000);
    await expectServed(platform, { seq: 3, refreshToken });
  });

  it('does not stop for the refusal of the old refresh token', async () => {
    const { answer } = await refreshInFlight(false);
    const refreshToken = await authorize(platform);
    await answer();
    // It is about a refresh token that nobody needs any more.
    expect(logged(platform, NEEDS_PERSON)).toEqual([]);
    expect(logged(platform, FAILED)).toMatchObject([
      { level: 'warn', failure: { class: 'reauthorize', errcode: 61023 } },
    ]);
    expect(await authorizationOf(platform)).toMatchObject({
      refreshToken,
      awaitsReauthorization: false,
    });
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(platform, { seq: 2, refreshToken });
  });
});
