import { afterEach, describe, expect, it } from 'vitest';
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
import { callsSince, gaps, logged, read, stored } from '../kit/observe.ts';
import { AUTHORIZER, COMPONENT, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { FAILED, NEEDS_PERSON, REFRESHED } from '../kit/scenario.ts';
import { secondsUntil } from '../kit/waiting.ts';

/** Seconds: a due authorizer is found by the next patrol, a lost answer is waited for before. */
const ROUND = 15;
const SETTLE = 10;

const INFO_API = 'api_get_authorizer_info';

let platform: TestPlatform;
/** What the log says of refresh tokens that WeChat refuses. */
const refusals = () =>
  [...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)].filter(({ failure }) =>
    JSON.stringify(failure).includes('61023'),
  );
afterEach(() => platform.close());

/** Lets the token become due and its first refresh fail; says what was stored before. */
async function lose(afterMint: boolean, rotating: boolean) {
  platform = await platformBeforeAuthorizerRefresh({ rotating });
  const before = await stored(platform, AUTHORIZED);
  const { refreshToken = '' } = await authorizationOf(platform);
  const since = platform.clock.now();
  platform.simulator.addFault({ api: AUTHORIZER_API, afterMint, fault: { type: 'reset' } });
  // Due in a minute, and found in the next round.
  await secondsUntil(platform, 60 + ROUND, () => {
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
    return Promise.resolve();
  });
  expect(await stored(platform, AUTHORIZED)).toEqual({ ...before, failures: 1, suspect: true });
  expect(await read(platform, AUTHORIZED)).toMatchObject({
    status: 200,
    value: before.kept.value,
    seq: 1,
    state: 'due',
    source: 'redis',
  });
  expect(logged(platform, FAILED)).toMatchObject([
    { level: 'warn', kind: AUTHORIZED.kind, failures: 1, failure: { class: 'retry' } },
  ]);
  expect((await authorizationOf(platform)).refreshToken).toBe(refreshToken);
  return { before, since, refreshToken };
}

describe('row 73: the answer with the next refresh token is lost', () => {
  it.each([
    { name: 'WeChat had not got that far', afterMint: false, rotating: true },
    { name: 'WeChat gives the same one each time', afterMint: true, rotating: false },
  ])('asks with the old one again, which serves when $name', async ({ afterMint, rotating }) => {
    const { since, refreshToken } = await lose(afterMint, rotating);
    const healed = await secondsUntil(platform, SETTLE + ROUND, async () => {
      expect((await stored(platform, AUTHORIZED)).kept.seq).toBe('2');
    });
    expect(healed).toBeGreaterThanOrEqual(SETTLE);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(2);
    await expectServed(platform, { seq: 2, ...(rotating ? {} : { refreshToken }) });
    expect((await authorizationOf(platform)).refreshToken === refreshToken).toBe(!rotating);
    expect(logged(platform, NEEDS_PERSON)).toEqual([]);
  });

  it('asks WeChat for it when WeChat has forgotten the old one; nobody is needed', async () => {
    const { before, since, refreshToken } = await lose(true, true);
    const healed = await secondsUntil(platform, SETTLE + 2 * ROUND, async () => {
      expect((await stored(platform, AUTHORIZED)).kept.seq).toBe('2');
    });
    expect(healed).toBeGreaterThanOrEqual(SETTLE);
    const calls = callsSince(platform, AUTHORIZER_API, since);
    expect(calls).toHaveLength(3);
    expect(gaps(calls)[0]).toBeGreaterThanOrEqual(SETTLE);
    // The refusal and the question are in the same second, the next try follows at once.
    expect(callsSince(platform, INFO_API, since)).toEqual([calls[1]]);
    expect(gaps(calls)[1]).toBeGreaterThanOrEqual(1);
    expect(gaps(calls)[1]).toBeLessThanOrEqual(2);
    await expectServed(platform, { seq: 2 });
    expect((await stored(platform, AUTHORIZED)).kept.value).not.toBe(before.kept.value);
    expect((await authorizationOf(platform)).refreshToken).not.toBe(refreshToken);
    expect(refusals()).toMatchObject([{ level: 'warn', failures: 2, failure: { errcode: 61023 } }]);
    expect(await readAuthorizer(platform.store, COMPONENT.appid, AUTHORIZER)).toMatchObject({
      state: 'authorized',
    });
  });

  it('tells a person when WeChat names none in its place; the next authorization heals it', async () => {
    const { before, since, refreshToken } = await lose(true, true);
    const nameless = { authorizer_appid: AUTHORIZER, func_info: [] };
    platform.simulator.addFault({
      api: INFO_API,
      times: 'forever',
      fault: { type: 'patch', fields: { authorization_info: nameless } },
    });
    await platform.pass((SETTLE + ROUND) * 1_000);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(2);
    expect(callsSince(platform, INFO_API, since)).toHaveLength(1);
    expect(refusals()).toMatchObject([
      { level: 'error', message: NEEDS_PERSON, failures: 2, failure: { errcode: 61023 } },
    ]);
    expect(await authorizationOf(platform)).toMatchObject({
      refreshToken,
      revoked: false,
      awaitsReauthorization: true,
    });
    expect(await readAuthorizer(platform.store, COMPONENT.appid, AUTHORIZER)).toMatchObject({
      state: 'reauthorize',
    });
    expect(await stored(platform, AUTHORIZED)).toMatchObject({
      kept: before.kept,
      failures: 2,
      locked: false,
    });
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, seq: 1 });
    await platform.pass(15 * MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 410,
      error: { code: 'authorizer_revoked' },
    });
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(2);

    await authorize(platform, AUTHORIZED, { rotating: true });
    await secondsUntil(platform, ROUND, async () => {
      expect((await stored(platform, AUTHORIZED)).kept.seq).toBe('2');
    });
    await expectServed(platform, { seq: 2 });
  });

  it('stores each one that arrives: a platform whose refresh tokens change goes on for hours', async () => {
    platform = await platformBeforeAuthorizerRefresh({ rotating: true });
    const seen = new Set([(await authorizationOf(platform)).refreshToken]);
    for (let refresh = 2; refresh <= 4; refresh += 1) {
      await platform.skip(105 * MINUTE);
      const { refreshToken } = await authorizationOf(platform);
      seen.add(refreshToken);
      await expectServed(platform, { seq: refresh });
    }
    expect(seen.size).toBe(4);
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);
  });
});

describe('row 74: the answer brings no usable refresh token', () => {
  it.each([
    { name: 'without one', fault: { remove: ['authorizer_refresh_token'] } },
    { name: 'with an empty one', fault: { fields: { authorizer_refresh_token: '' } } },
    { name: 'with null', fault: { fields: { authorizer_refresh_token: null } } },
    { name: 'with spaces in it', fault: { fields: { authorizer_refresh_token: 'not a token' } } },
    {
      name: 'with an endless one',
      fault: { fields: { authorizer_refresh_token: 'x'.repeat(1025) } },
    },
  ])('keeps the stored one ($name), which serves for the next refresh', async ({ fault }) => {
    platform = await platformBeforeAuthorizerRefresh();
    const { simulator, clock } = platform;
    const { refreshToken = '' } = await authorizationOf(platform);
    const since = clock.now();
    simulator.addFault({ api: AUTHORIZER_API, fault: { type: 'patch', ...fault } });
    await platform.pass(MINUTE + ROUND * 1_000);
    expect(simulator.faults).toEqual([]);
    await expectServed(platform, { seq: 2, refreshToken });
    expect(logged(platform, REFRESHED, AUTHORIZED.kind)).toMatchObject([
      { level: 'info', seq: 1 },
      { level: 'info', seq: 2 },
    ]);
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);

    await platform.skip(106 * MINUTE);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(2);
    await expectServed(platform, { seq: 3, refreshToken });
    expect(mintsFor(platform)).toHaveLength(4);
  });
});
