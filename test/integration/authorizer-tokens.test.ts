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

let station: TestPlatform;
const failures = () => [...logged(station, FAILED), ...logged(station, NEEDS_PERSON)];
afterEach(() => station.close());

/** Seconds, one by one, until the authorizer's value is one that WeChat takes. */
async function secondsUntilServed(limit: number): Promise<number> {
  for (let second = 1; second <= limit; second += 1) {
    await station.pass(1_000);
    const { kept } = await stored(station, AUTHORIZED);
    if (station.simulator.isLive(AUTHORIZED.kind, kept.mirror ?? '')) return second;
  }
  throw new Error(`nothing was minted within ${limit} s`);
}

/** Nothing of it can be had again, and the merchant must come: until then nobody asks WeChat. */
async function expectToldAndHealed(since: number, errcode: number): Promise<void> {
  const { store, simulator } = station;
  expect(await authorizationOf(station)).toMatchObject({
    revoked: false,
    awaitsReauthorization: true,
  });
  expect(await readAuthorizer(store, COMPONENT.appid, AUTHORIZER)).toMatchObject({
    state: 'reauthorize',
  });
  expect(logged(station, NEEDS_PERSON)).toMatchObject([
    {
      level: 'error',
      kind: AUTHORIZED.kind,
      subject: AUTHORIZED.subject,
      failures: 1,
      failure: { class: 'reauthorize', errcode },
    },
  ]);
  expect(JSON.stringify(logged(station, NEEDS_PERSON))).toContain('open the authorization page');

  await station.pass(14 * MINUTE);
  const refused = await read(station, AUTHORIZED);
  expect(refused).toMatchObject({ status: 410, error: { code: 'authorizer_revoked' } });
  expect(refused.error?.message).toMatch(/must authorize.*again/);
  // Looked at no more, for as long as it takes.
  expect((await authorizationOf(station)).lookAt).toBeUndefined();
  await station.pass(HOUR / 2);
  expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
  expect(logged(station, NEEDS_PERSON, AUTHORIZED.kind)).toHaveLength(1);

  simulator.clearFaults();
  await authorize(station);
  expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
  await expectServed(station, { seq: 2 });
}

describe('row 43: WeChat says that the account has not authorized us (errcode 61003)', () => {
  it('asks once, tells a person, serves the value to its end, and heals with the next authorization', async () => {
    station = await platformBeforeAuthorizerRefresh();
    const before = await stored(station, AUTHORIZED);
    station.simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    const since = station.clock.now();
    await station.pass(2 * MINUTE);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
    // There is nothing to ask about an account that is not ours.
    expect(callsSince(station, INFO_API, since)).toEqual([]);
    expect(await read(station, AUTHORIZED)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      state: 'due',
      source: 'redis',
    });
    expect(await stored(station, AUTHORIZED)).toEqual({ ...before, failures: 1 });
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
    station = await platformBeforeAuthorizerRefresh();
    const { simulator, clock } = station;
    const before = await stored(station, AUTHORIZED);
    const { refreshToken } = await authorizationOf(station);
    simulator.addFault({ api: AUTHORIZER_API, times: 'forever', fault: voidToken });
    if (fields !== undefined) {
      const fault = { type: 'patch', fields: { authorization_info: fields } } as const;
      simulator.addFault({ api: INFO_API, fault });
    }
    const since = clock.now();
    await station.pass(2 * MINUTE);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
    expect(callsSince(station, INFO_API, since)).toHaveLength(1);
    expect(await read(station, AUTHORIZED)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      state: 'due',
      source: 'redis',
    });
    expect(await stored(station, AUTHORIZED)).toEqual({ ...before, failures: 1 });
    expect(await authorizationOf(station)).toMatchObject({ refreshToken });
    await expectToldAndHealed(since, 61023);
  });

  it('goes on by itself when WeChat names another one: the account authorized anew, and nobody told us', async () => {
    station = await platformBeforeAuthorizerRefresh();
    const { simulator, clock, store } = station;
    const before = await stored(station, AUTHORIZED);
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    const since = clock.now();
    await secondsUntil(station, 60 + ROUND, async () => {
      expect(callsSince(station, INFO_API, since)).toHaveLength(1);
      expect((await stored(station, AUTHORIZED)).failures).toBe(1);
    });
    expect(await stored(station, AUTHORIZED)).toEqual({ ...before, failures: 1 });
    expect(await authorizationOf(station)).toMatchObject({
      refreshToken,
      revoked: false,
      awaitsReauthorization: false,
    });
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(station, { seq: 2, refreshToken });
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(2);
    expect(callsSince(station, INFO_API, since)).toHaveLength(1);
    expect(failures()).toMatchObject([{ failures: 1, failure: { errcode: 61023 } }]);
    expect(await readAuthorizer(store, COMPONENT.appid, AUTHORIZER)).not.toMatchObject({
      state: 'reauthorize',
    });
  });

  it('gives nothing up while WeChat cannot be asked for another one', async () => {
    station = await platformBeforeAuthorizerRefresh();
    const { simulator, clock } = station;
    const former = (await authorizationOf(station)).refreshToken;
    const { refreshToken } = simulator.authorize(COMPONENT.appid, AUTHORIZER);
    simulator.addFault({ api: INFO_API, fault: { type: 'status', status: 502 } });
    const since = clock.now();
    await secondsUntil(station, 60 + ROUND, () => {
      expect(simulator.faults).toEqual([]);
      return Promise.resolve();
    });
    expect(await authorizationOf(station)).toMatchObject({
      refreshToken: former,
      awaitsReauthorization: false,
    });
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 200, seq: 1, state: 'due' });
    // The next refusal asks again.
    expect(await secondsUntilServed(UNKNOWN_RETRY + 2 * ROUND)).toBeGreaterThan(0);
    await expectServed(station, { seq: 2, refreshToken });
    expect(callsSince(station, INFO_API, since)).toHaveLength(2);
    expect(failures()).toHaveLength(2);
  });
});

/** The token is due, and the call that renews it waits for its answer. */
async function refreshInFlight(minted: boolean): Promise<{ answer: () => Promise<void> }> {
  station = await platformBeforeAuthorizerRefresh();
  const { simulator, clock, app } = station;
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
    () => expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1),
    POLLING,
  );
  expect((await stored(station, AUTHORIZED)).locked).toBe(true);
  return {
    async answer() {
      await clock.advance(5_000);
      await looking;
      await station.settle();
    },
  };
}

describe('row 70: the authorization ends while its token is being refreshed', () => {
  it('drops the minted token; the tombstone stays, and callers are told', async () => {
    const { answer } = await refreshInFlight(true);
    const { store, simulator, clock } = station;
    simulator.unauthorize(COMPONENT.appid, AUTHORIZER);
    expect(await revokeAuthorization(store, AUTHORIZED, clock.now())).toBe('revoked');
    await answer();
    const since = clock.now();

    expect(mintsFor(station)).toHaveLength(3);
    expect(logged(station, DROPPED)).toMatchObject([
      { level: 'info', kind: AUTHORIZED.kind, subject: AUTHORIZED.subject },
    ]);
    expect(logged(station, REFRESHED, AUTHORIZED.kind)).toHaveLength(1);
    expect(await stored(station, AUTHORIZED)).toMatchObject({
      kept: NOTHING_KEPT,
      locked: false,
      suspect: false,
    });
    expect(await read(station, AUTHORIZED)).toMatchObject({
      status: 410,
      error: { code: 'authorizer_revoked' },
    });
    await station.pass(ROUND * 1_000);
    expect(await authorizationOf(station)).toEqual({
      refreshToken: undefined,
      lookAt: undefined,
      revoked: true,
      awaitsReauthorization: false,
    });
    await station.pass(HOUR);
    expect(callsSince(station, AUTHORIZER_API, since)).toEqual([]);
    expect((await stored(station, AUTHORIZED)).kept).toMatchObject(NOTHING_KEPT);
    expect([...logged(station, FAILED), ...logged(station, NEEDS_PERSON)]).toEqual([]);
  });
});

describe('row 71: the account authorizes again while its token is being refreshed', () => {
  it('keeps the new refresh token and mints with it; what the old one brought is dropped', async () => {
    const { answer } = await refreshInFlight(true);
    const refreshToken = await authorize(station);
    await answer();
    expect(logged(station, DROPPED)).toMatchObject([{ level: 'info', kind: AUTHORIZED.kind }]);
    expect(await authorizationOf(station)).toMatchObject({ refreshToken, revoked: false });
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(station, { seq: 2, refreshToken });
    expect([...logged(station, FAILED), ...logged(station, NEEDS_PERSON)]).toEqual([]);
  });

  it('does not wait for the old call; one more mint settles which token its late answer left alive', async () => {
    const { answer } = await refreshInFlight(true);
    const refreshToken = await authorize(station);
    const other = await station.addReplica();
    await other.keeper.ensureFresh(AUTHORIZED, 'read');
    const before = await stored(station, AUTHORIZED);
    expect(before).toMatchObject({ locked: false, kept: { seq: '2' } });
    await answer();
    expect(logged(station, DROPPED)).toHaveLength(1);
    await station.pass(ROUND * 1_000);
    await expectServed(station, { seq: 3, refreshToken });
  });

  it('does not stop for the refusal of the old refresh token', async () => {
    const { answer } = await refreshInFlight(false);
    const refreshToken = await authorize(station);
    await answer();
    // It is about a refresh token that nobody needs any more.
    expect(logged(station, NEEDS_PERSON)).toEqual([]);
    expect(logged(station, FAILED)).toMatchObject([
      { level: 'warn', failure: { class: 'reauthorize', errcode: 61023 } },
    ]);
    expect(await authorizationOf(station)).toMatchObject({
      refreshToken,
      awaitsReauthorization: false,
    });
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(station, { seq: 2, refreshToken });
  });
});
