import { afterEach, describe, expect, it, vi } from 'vitest';
import { revokeAuthorization } from '../../src/store/authorizations.ts';
import {
  authorizationOf,
  authorize,
  AUTHORIZED,
  AUTHORIZER_API,
  expectServed,
  mintsFor,
  platformBeforeRefresh,
} from '../support/authorizers.ts';
import { callsSince, logged, read, stored } from '../support/observe.ts';
import { POLLING } from '../support/redis-story.ts';
import { AUTHORIZER, COMPONENT, HOUR, MINUTE, type Station } from '../support/station.ts';
import { FAILED, NEEDS_PERSON, REFRESHED } from '../support/story.ts';

/** Seconds: an authorizer that is due is found by the next patrol. */
const ROUND = 15;
const DROPPED = 'a minted token belongs to an authorization that has ended; dropped';
const NOTHING_KEPT = { value: undefined, expires_at: undefined, mirror: null };

let station: Station;
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

describe.each([
  {
    errcode: 61003,
    name: 'that the account has not authorized us',
    end: () => station.simulator.unauthorize(COMPONENT.appid, AUTHORIZER),
  },
  {
    errcode: 61023,
    name: 'that the refresh token is void',
    // The account authorized anew, and we have heard nothing of it.
    end: () => void station.simulator.authorize(COMPONENT.appid, AUTHORIZER),
  },
])('row 43: WeChat says $name (errcode $errcode)', ({ errcode, end }) => {
  it('asks once, tells a person, serves the value to its end, and heals with the next authorization', async () => {
    station = await platformBeforeRefresh();
    const { clock } = station;
    const before = await stored(station, AUTHORIZED);
    const { refreshToken } = await authorizationOf(station);
    end();
    const since = clock.now();
    await station.pass(2 * MINUTE);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
    expect(await read(station, AUTHORIZED)).toMatchObject({
      ...{ status: 200, value: before.kept.value, seq: 1, state: 'due', source: 'redis' },
    });
    expect(await stored(station, AUTHORIZED)).toEqual({ ...before, failures: 1 });
    expect(await authorizationOf(station)).toMatchObject({
      ...{ refreshToken, revoked: false, awaitsReauthorization: true },
    });
    expect(logged(station, NEEDS_PERSON)).toMatchObject([
      {
        ...{ level: 'error', kind: AUTHORIZED.kind, subject: AUTHORIZED.subject, failures: 1 },
        failure: { class: 'reauthorize', errcode },
      },
    ]);
    expect(JSON.stringify(logged(station, NEEDS_PERSON))).toContain('open the authorization page');

    await station.pass(14 * MINUTE);
    expect(await read(station, AUTHORIZED)).toMatchObject({
      ...{ status: 410, error: { code: 'authorizer_revoked' } },
    });
    expect((await read(station, AUTHORIZED)).error?.message).toMatch(/must authorize.*again/);
    // Looked at no more, for as long as it takes.
    expect((await authorizationOf(station)).lookAt).toBeUndefined();
    await station.pass(3 * HOUR);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
    expect(logged(station, NEEDS_PERSON, AUTHORIZED.kind)).toHaveLength(1);

    await authorize(station);
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(station, { seq: 2 });
  });
});

/** The token is due, and the call that renews it waits for its answer. */
async function refreshInFlight(minted: boolean): Promise<{ answer: () => Promise<void> }> {
  station = await platformBeforeRefresh();
  const { simulator, clock, app } = station;
  await clock.advance(0);
  const since = clock.now();
  simulator.addFault({
    ...{ api: AUTHORIZER_API, afterMint: minted },
    fault: { type: 'delay', ms: 5_000 },
  });
  clock.sleepThrough(MINUTE);
  const looking = app.keeper.look(AUTHORIZED, 'patrol');
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
      ...{ kept: NOTHING_KEPT, locked: false, suspect: false },
    });
    expect(await read(station, AUTHORIZED)).toMatchObject({
      ...{ status: 410, error: { code: 'authorizer_revoked' } },
    });
    await station.pass(ROUND * 1_000);
    expect(await authorizationOf(station)).toEqual({
      ...{ refreshToken: undefined, lookAt: undefined },
      ...{ revoked: true, awaitsReauthorization: false },
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

  it('does not wait for the old call, whose late answer changes nothing', async () => {
    const { answer } = await refreshInFlight(true);
    const refreshToken = await authorize(station);
    const other = await station.addReplica();
    await other.keeper.look(AUTHORIZED, 'read');
    const before = await stored(station, AUTHORIZED);
    expect(before).toMatchObject({ locked: false, kept: { seq: '2' } });
    await answer();
    expect(logged(station, DROPPED)).toHaveLength(1);
    expect(await stored(station, AUTHORIZED)).toEqual(before);
    await expectServed(station, { seq: 2, refreshToken });
  });

  it('does not stop for the refusal of the old refresh token', async () => {
    const { answer } = await refreshInFlight(false);
    const refreshToken = await authorize(station);
    await answer();
    expect(logged(station, NEEDS_PERSON)).toMatchObject([
      { level: 'error', failure: { class: 'reauthorize', errcode: 61023 } },
    ]);
    expect(await authorizationOf(station)).toMatchObject({
      ...{ refreshToken, awaitsReauthorization: false },
    });
    expect(await secondsUntilServed(ROUND)).toBeGreaterThan(0);
    await expectServed(station, { seq: 2, refreshToken });
  });
});
