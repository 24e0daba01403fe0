import { afterEach, describe, expect, it } from 'vitest';
import type { Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { authorizationOf, AUTHORIZED, AUTHORIZER_API, mintsFor } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked } from '../kit/authorizing.ts';
import {
  accountOf,
  C,
  entryOf,
  EXCHANGED,
  exchangesKept,
  HEALED,
  INFO,
  LOST,
  NOT_YET,
  opened,
  QUERY,
  secondsUntilAlive,
} from '../kit/exchanging.ts';
import { expectAlive } from '../kit/expect.ts';
import { callsSince, logged, read } from '../kit/observe.ts';
import { AUTHORIZER, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';

let station: TestPlatform;
afterEach(async () => station.close());

/** The next exchange brings this, besides what the account is. */
function answerWith(info: object, authorizer = AUTHORIZER, api: 'query' | 'info' = 'query') {
  const authorization_info = { authorizer_appid: authorizer, func_info: [], ...info };
  station.simulator.addFault({
    api: api === 'query' ? QUERY : INFO,
    times: api === 'query' ? 1 : 'forever',
    fault: { type: 'patch', fields: { authorization_info } },
  });
}

const FUNCS = [{ funcscope_category: { id: 1 } }, { funcscope_category: { id: 17 } }];

describe('an exchange that brings no refresh token, because nothing was granted that needs one', () => {
  it('lists the account, says so to readers, and the next authorization brings one', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock, redis, keys } = station;
    answerWith({ func_info: FUNCS });
    answerWith({}, AUTHORIZER, 'info');
    const since = clock.now();
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    await station.pass(MINUTE);
    expect(exchangesAsked(station)).toEqual([0]);
    expect(logged(station, EXCHANGED)).toMatchObject([
      { level: 'info', authorizer: AUTHORIZER, refresh_token_given: false },
    ]);
    const seen = await read(station, AUTHORIZED);
    expect(seen).toMatchObject({ status: 404, error: { code: 'not_found' } });
    expect(seen.error?.message).toMatch(/refresh token|permission|authorize/i);
    expect(await entryOf(station)).toMatchObject({ state: 'authorized' });
    expect((await authorizationOf(station)).refreshToken).toBeUndefined();
    expect(await redis.get(keys.mirror(AUTHORIZED))).toBeNull();
    expect(callsSince(station, AUTHORIZER_API, since)).toEqual([]);
    expect(station.logs.filter(({ level }) => level === 'error')).toEqual([]);

    simulator.clearFaults();
    const { code } = simulator.grant(C, AUTHORIZER, { update: true });
    await authorizedEvent(station, code, { infoType: 'updateauthorized' });
    await station.settle();
    expect(await secondsUntilAlive(station, 1)).toBe(0);
    expect(exchangesAsked(station)).toEqual([0, 0]);
  });
});

describe('an exchange whose answer is not what WeChat documents', () => {
  const TOKEN = 'tokenThatTheAnswerCarries';
  const good = (simulator: Simulator) => ({
    authorizer_access_token: TOKEN,
    expires_in: 7200,
    authorizer_refresh_token: simulator.refreshTokenOf(C, AUTHORIZER) ?? 'refreshtoken@@@first',
    func_info: FUNCS,
  });

  it.each([
    ['expires_in is a text', { expires_in: '7200' }, 7200],
    ['expires_in is missing', { expires_in: undefined }, 600],
    ['expires_in is no number', { expires_in: 'soon' }, 600],
    ['expires_in is negative', { expires_in: -1 }, 600],
    ['expires_in is a day', { expires_in: 86_400 }, 7200],
    ['func_info is missing', { func_info: undefined }, 7200],
    ['func_info is a text', { func_info: 'none' }, 7200],
    ['func_info has holes', { func_info: [null, { funcscope_category: {} }, ...FUNCS] }, 7200],
  ])('%s: the token is served all the same', async (what, odd, life) => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = station;
    const { code } = simulator.grant(C, AUTHORIZER);
    answerWith({ ...good(simulator), ...odd });
    await authorizedEvent(station, code);
    await station.settle();
    expect(await read(station, AUTHORIZED)).toMatchObject({
      status: 200,
      value: TOKEN,
      expires_in: life,
    });
    const permissions = (await entryOf(station))?.permission_sets;
    if (what.includes('holes')) expect(permissions).toBeDefined();
    expect(exchangesAsked(station)).toEqual([0]);
    expect(await exchangesKept(station)).toMatchObject([{ outcome: 'authorized' }]);
    expect((await authorizationOf(station)).refreshToken).toMatch(/^refreshtoken@@@/);
  });

  it.each([
    ['authorizer_appid is missing', { authorizer_appid: undefined }],
    ['authorizer_appid is odd', { authorizer_appid: 'gh_0123456789ab' }],
    ['authorizer_appid is a number', { authorizer_appid: 5 }],
  ])('%s: WeChat is asked who it is', async (_what, odd) => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = station;
    const { code } = simulator.grant(C, AUTHORIZER);
    answerWith({ ...good(simulator), ...odd });
    await authorizedEvent(station, code);
    await station.settle();
    expect(logged(station, NOT_YET)).toMatchObject([{ level: 'warn', authorizer: AUTHORIZER }]);
    expect(await exchangesKept(station)).toMatchObject([{ maybe_used: true, attempts: 1 }]);
    expect(await secondsUntilAlive(station, 20)).toBeLessThanOrEqual(12);
    expect(logged(station, HEALED)).toHaveLength(1);
    expect(await entryOf(station)).toMatchObject({ state: 'authorized' });
  });

  it.each([
    ['is missing', undefined],
    ['is empty', ''],
    ['has spaces', 'a b'],
  ])('the access token %s: a refresh brings one', async (_what, value) => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    const { code } = simulator.grant(C, AUTHORIZER);
    const since = clock.now();
    answerWith({ ...good(simulator), authorizer_access_token: value });
    simulator.addFault({
      api: AUTHORIZER_API,
      times: 'forever',
      afterMint: false,
      fault: {
        type: 'body',
        body: JSON.stringify({ authorizer_access_token: TOKEN, expires_in: 7200 }),
      },
    });
    await authorizedEvent(station, code);
    await station.settle();
    await station.pass(1_000);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 200, value: TOKEN });
    expect(await exchangesKept(station)).toMatchObject([{ outcome: 'authorized' }]);
  });

  it('another account than the event said: the token is that of the account in the answer', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = station;
    const other = accountOf(7);
    const { code } = simulator.grant(C, other);
    expect((await authorizedEvent(station, code)).status).toBe(200);
    await station.settle();
    await expectAlive(station, other);
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 404 });
    expect(mintsFor(station)).toEqual([]);
    expect(mintsFor(station, authorizerToken(C, other))).toHaveLength(1);
    expect(await entryOf(station)).toBeUndefined();
    expect(logged(station, EXCHANGED)).toMatchObject([{ authorizer: other }]);
  });
});

describe('a code that is no code', () => {
  it('ends at once, and nothing else is asked for', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const page = await donePage(station, 'queryauthcode@@@made-up', { lang: 'en' });
    expect(await opened(station, page)).toMatch(/again/i);
    expect(await opened(station, page)).toMatch(/again/i);
    await station.pass(2 * MINUTE);
    expect(exchangesAsked(station)).toEqual([61009]);
    expect(callsSince(station, INFO, 0)).toEqual([]);
    expect(callsSince(station, 'api_get_authorizer_list', station.clock.now() - MINUTE)).toEqual(
      [],
    );
    expect(logged(station, LOST)).toEqual([]);
    expect(await exchangesKept(station)).toMatchObject([{ outcome: 'expired', maybe_used: false }]);
    // It is forgotten an hour after its time is over.
    await station.skip(75 * MINUTE);
    await authorizedEvent(station, station.simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    expect(await exchangesKept(station)).toMatchObject([{ authorizer: AUTHORIZER }]);
  });
});

describe('AuthorizationCodeExpiredTime of an event', () => {
  it.each([
    ['a moment', true],
    ['a duration', false],
  ])('%s: a busy WeChat is asked for ten minutes', async (_what, absoluteExpiry) => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = station;
    const fault = { type: 'errcode', errcode: -1 } as const;
    simulator.addFault({ api: QUERY, times: 'forever', fault });
    const { code } = simulator.grant(C, AUTHORIZER);
    const push = await simulator.pushAuthorized(C, AUTHORIZER, code, { absoluteExpiry });
    await station.settle();
    const [kept] = await exchangesKept(station);
    const life = Number(kept?.expires_at) / 1000 - push.createTime;
    expect(life).toBeGreaterThanOrEqual(600);
    expect(life).toBeLessThanOrEqual(601);
  });
});
