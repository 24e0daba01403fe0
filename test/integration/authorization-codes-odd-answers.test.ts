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

let platform: TestPlatform;
afterEach(async () => platform.close());

/** The next exchange brings this, besides what the account is. */
function answerWith(info: object, authorizer = AUTHORIZER, api: 'query' | 'info' = 'query') {
  const authorization_info = { authorizer_appid: authorizer, func_info: [], ...info };
  platform.simulator.addFault({
    api: api === 'query' ? QUERY : INFO,
    times: api === 'query' ? 1 : 'forever',
    fault: { type: 'patch', fields: { authorization_info } },
  });
}

const FUNCS = [{ funcscope_category: { id: 1 } }, { funcscope_category: { id: 17 } }];

describe('an exchange that brings no refresh token, because nothing was granted that needs one', () => {
  it('lists the account, says so to readers, and the next authorization brings one', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock, redis, keys } = platform;
    answerWith({ func_info: FUNCS });
    answerWith({}, AUTHORIZER, 'info');
    const since = clock.now();
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    await platform.pass(MINUTE);
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(logged(platform, EXCHANGED)).toMatchObject([
      { level: 'info', authorizer: AUTHORIZER, refresh_token_given: false },
    ]);
    const seen = await read(platform, AUTHORIZED);
    expect(seen).toMatchObject({ status: 404, error: { code: 'not_found' } });
    expect(seen.error?.message).toMatch(/refresh token|permission|authorize/i);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
    expect((await authorizationOf(platform)).refreshToken).toBeUndefined();
    expect(await redis.get(keys.mirror(AUTHORIZED))).toBeNull();
    expect(callsSince(platform, AUTHORIZER_API, since)).toEqual([]);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);

    simulator.clearFaults();
    const { code } = simulator.grant(C, AUTHORIZER, { update: true });
    await authorizedEvent(platform, code, { infoType: 'updateauthorized' });
    await platform.settle();
    expect(await secondsUntilAlive(platform, 1)).toBe(0);
    expect(exchangesAsked(platform)).toEqual([0, 0]);
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
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = platform;
    const { code } = simulator.grant(C, AUTHORIZER);
    answerWith({ ...good(simulator), ...odd });
    await authorizedEvent(platform, code);
    await platform.settle();
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 200,
      value: TOKEN,
      expires_in: life,
    });
    const permissions = (await entryOf(platform))?.permission_sets;
    if (what.includes('holes')) expect(permissions).toBeDefined();
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(await exchangesKept(platform)).toMatchObject([{ outcome: 'authorized' }]);
    expect((await authorizationOf(platform)).refreshToken).toMatch(/^refreshtoken@@@/);
  });

  it.each([
    ['authorizer_appid is missing', { authorizer_appid: undefined }],
    ['authorizer_appid is odd', { authorizer_appid: 'gh_0123456789ab' }],
    ['authorizer_appid is a number', { authorizer_appid: 5 }],
  ])('%s: WeChat is asked who it is', async (_what, odd) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = platform;
    const { code } = simulator.grant(C, AUTHORIZER);
    answerWith({ ...good(simulator), ...odd });
    await authorizedEvent(platform, code);
    await platform.settle();
    expect(logged(platform, NOT_YET)).toMatchObject([{ level: 'warn', authorizer: AUTHORIZER }]);
    expect(await exchangesKept(platform)).toMatchObject([{ maybe_used: true, attempts: 1 }]);
    expect(await secondsUntilAlive(platform, 20)).toBeLessThanOrEqual(12);
    expect(logged(platform, HEALED)).toHaveLength(1);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
  });

  it.each([
    ['is missing', undefined],
    ['is empty', ''],
    ['has spaces', 'a b'],
  ])('the access token %s: a refresh brings one', async (_what, value) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
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
    await authorizedEvent(platform, code);
    await platform.settle();
    await platform.pass(1_000);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, value: TOKEN });
    expect(await exchangesKept(platform)).toMatchObject([{ outcome: 'authorized' }]);
  });

  it('another account than the event said: the token is that of the account in the answer', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = platform;
    const other = accountOf(7);
    const { code } = simulator.grant(C, other);
    expect((await authorizedEvent(platform, code)).status).toBe(200);
    await platform.settle();
    await expectAlive(platform, other);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 404 });
    expect(mintsFor(platform)).toEqual([]);
    expect(mintsFor(platform, authorizerToken(C, other))).toHaveLength(1);
    expect(await entryOf(platform)).toBeUndefined();
    expect(logged(platform, EXCHANGED)).toMatchObject([{ authorizer: other }]);
  });
});

describe('a code that is no code', () => {
  it('ends at once, and nothing else is asked for', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const page = await donePage(platform, 'queryauthcode@@@made-up', { lang: 'en' });
    expect(await opened(platform, page)).toMatch(/again/i);
    expect(await opened(platform, page)).toMatch(/again/i);
    await platform.pass(2 * MINUTE);
    expect(exchangesAsked(platform)).toEqual([61009]);
    expect(callsSince(platform, INFO, 0)).toEqual([]);
    expect(callsSince(platform, 'api_get_authorizer_list', platform.clock.now() - MINUTE)).toEqual(
      [],
    );
    expect(logged(platform, LOST)).toEqual([]);
    expect(await exchangesKept(platform)).toMatchObject([
      { outcome: 'expired', maybe_used: false },
    ]);
    // It is forgotten an hour after its time is over.
    await platform.skip(75 * MINUTE);
    await authorizedEvent(platform, platform.simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    expect(await exchangesKept(platform)).toMatchObject([{ authorizer: AUTHORIZER }]);
  });
});

describe('AuthorizationCodeExpiredTime of an event', () => {
  it.each([
    ['a moment', true],
    ['a duration', false],
  ])('%s: a busy WeChat is asked for ten minutes', async (_what, absoluteExpiry) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = platform;
    const fault = { type: 'errcode', errcode: -1 } as const;
    simulator.addFault({ api: QUERY, times: 'forever', fault });
    const { code } = simulator.grant(C, AUTHORIZER);
    const push = await simulator.pushAuthorized(C, AUTHORIZER, code, { absoluteExpiry });
    await platform.settle();
    const [kept] = await exchangesKept(platform);
    const life = Number(kept?.expires_at) / 1000 - push.createTime;
    expect(life).toBeGreaterThanOrEqual(600);
    expect(life).toBeLessThanOrEqual(601);
  });
});
