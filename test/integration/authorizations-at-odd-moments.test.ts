import { afterEach, describe, expect, it } from 'vitest';
import { revokeAuthorization } from '../../src/store/authorizers/authorization.ts';
import { addExchange, openExchanges } from '../../src/store/authorizers/code-exchange.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { authorizationOf, AUTHORIZED } from '../kit/authorizers.ts';
import { authorizedEvent, exchangesAsked } from '../kit/authorizing.ts';
import { C, createExchanger, INFO, LOST, QUERY, secondsUntilAlive } from '../kit/exchanging.ts';
import {
  AUTHORIZER,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import { LIST_API, reconcile } from '../kit/reconciling.ts';

let platform: TestPlatform;
afterEach(async () => platform.close());

describe('a replica that is stopped while it exchanges a code', () => {
  it('has planned the next refresh, which the others find', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, app } = platform;
    const leaving = createExchanger(platform, 'after answer');
    const took = leaving.authorizations.takeCode(C, simulator.grant(C, AUTHORIZER).code, 600);
    await leaving.stopped;
    await app.keeper.stop();
    leaving.wake();
    expect(await took).toEqual({ did: 'authorized', authorizer: AUTHORIZER });
    expect((await authorizationOf(platform)).lookAt).toBeDefined();
  });
});

describe('an exchange that brings neither token, though WeChat names one when asked', () => {
  it('the account is refreshed as soon as its profile has brought the refresh token', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator } = platform;
    const authorization_info = { authorizer_appid: AUTHORIZER, func_info: [] };
    simulator.addFault({ api: QUERY, fault: { type: 'patch', fields: { authorization_info } } });
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    expect((await authorizationOf(platform)).lookAt).toBeDefined();
    await secondsUntilAlive(platform, 30);
    expect(exchangesAsked(platform)).toEqual([0]);
  });
});

describe('an account whose record a person has spoiled', () => {
  it.each([true, false])('its code brings it back (account known: %s)', async (known) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, redis, keys, store, clock } = platform;
    await redis.hset(keys.record(AUTHORIZED), 'authorized_at', 'yesterday');
    const { code } = simulator.grant(C, AUTHORIZER);
    const authorizedAt = clock.now();
    const authorizer = known ? AUTHORIZER : undefined;
    const expiresAt = authorizedAt + 10 * MINUTE;
    await addExchange(store, C, { code, authorizer, authorizedAt, expiresAt });
    await secondsUntilAlive(platform, 15);
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(await redis.hget(keys.spoiled(AUTHORIZED), 'authorized_at')).toBe('yesterday');
  });
});

describe('an account that WeChat lists with a moment that cannot be', () => {
  it.each([
    ['in the next century', 4_102_444_800],
    ['in milliseconds', 1_795_219_200_000],
  ])('%s: it is taken in, and its end is believed', async (_, auth_time) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, store, clock } = platform;
    const { refreshToken: refresh_token } = simulator.authorize(C, AUTHORIZER);
    const list = [{ authorizer_appid: AUTHORIZER, refresh_token, auth_time }];
    simulator.addFault({
      api: LIST_API,
      times: 'forever',
      fault: { type: 'patch', fields: { total_count: 1, list } },
    });
    await reconcile(platform);
    await secondsUntilAlive(platform, 30);
    const { authorizedAt } = await readRecord(store, AUTHORIZED);
    expect(authorizedAt).toBeLessThanOrEqual(clock.now());
    await platform.pass(MINUTE);
    // The next reading does not outdo what has been heard since.
    await reconcile(platform);
    expect((await readRecord(store, AUTHORIZED)).authorizedAt).toBe(authorizedAt);
    expect(await revokeAuthorization(store, AUTHORIZED, clock.now())).toBe('revoked');
    await reconcile(platform);
    expect(await authorizationOf(platform)).toMatchObject({ revoked: true });
  });
});

describe('a missing account is found while the clock of Redis is an hour ahead of WeChat', () => {
  it('its next authorization is no older than its end', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock, store } = platform;
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    await platform.pass(20 * MINUTE);
    clock.jumpStoreClock(HOUR);
    simulator.unauthorize(C, AUTHORIZER);
    await reconcile(platform);
    await platform.pass(MINUTE);
    expect(await authorizationOf(platform)).toMatchObject({ revoked: true });

    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    expect(await openExchanges(store, C)).toEqual([]);
    await secondsUntilAlive(platform, 60);
  });
});

describe('a code whose account WeChat cannot be asked about any more', () => {
  it('is not given up in silence, and not asked about for ever', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, store, logs } = platform;
    simulator.addFault({
      api: QUERY,
      times: 'forever',
      fault: { type: 'errcode', errcode: 61010 },
    });
    simulator.addFault({ api: INFO, times: 'forever', fault: { type: 'errcode', errcode: 48001 } });
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    expect(logs.filter(({ message }) => message.includes('what became of a code'))).toMatchObject([
      { level: 'warn', authorizer: AUTHORIZER, failure: { errcode: 48001 } },
    ]);
    expect(await openExchanges(store, C)).toHaveLength(1);

    const { clock } = platform;
    const at = clock.now() - 25 * HOUR;
    const other = { code: 'codeOfYesterday', authorizer: AUTHORIZER };
    await addExchange(store, C, { ...other, authorizedAt: at, expiresAt: at + MINUTE });
    expect(await openExchanges(store, C)).toHaveLength(2);
    await platform.pass(MINUTE);
    expect(await openExchanges(store, C)).toHaveLength(1);
    expect(logs.filter(({ message }) => message === LOST)).toHaveLength(1);
  });
});
