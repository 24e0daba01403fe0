import { afterEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { AUTHORIZED } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked } from '../kit/authorizing.ts';
import {
  accountOf,
  C,
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
import {
  AUTHORIZER,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import { becomes, post } from '../kit/redis-trouble.ts';
import { POLLING } from '../kit/waiting.ts';

const KEPT_IN_HAND = 'what a code brought could not be stored yet';

let station: TestPlatform;
let server: RedisServer | undefined;
afterEach(async () => {
  await station.close();
  await server?.stop();
  server = undefined;
});

async function stationOnItsOwnRedis(): Promise<RedisServer> {
  server = await startRedisServer({ appendOnly: true, args: ['--appendfsync', 'always'] });
  station = await createTestPlatform({ links: true, listRead: true, redisUrl: server.url });
  station.redis.on('error', () => undefined);
  return server;
}

describe('row 88: Redis is away when a code comes', () => {
  it('by the event: it is refused, and works when WeChat sends it again', async () => {
    const redis = await stationOnItsOwnRedis();
    const { simulator } = station;
    const { code } = simulator.grant(C, AUTHORIZER);
    await redis.kill();
    await becomes(station, 503);
    const pushed = await authorizedEvent(station, code);
    expect(pushed).toMatchObject({ status: 503, accepted: false });
    expect(pushed.answer).not.toContain('success');
    expect(exchangesAsked(station)).toEqual([]);
    await redis.start();
    await becomes(station, 200);
    expect(await exchangesKept(station)).toEqual([]);
    expect(await post(pushed)).toMatchObject({ status: 200, text: 'success' });
    await station.settle();
    expect(await secondsUntilAlive(station, 60)).toBeLessThanOrEqual(40);
    expect(exchangesAsked(station)).toEqual([0]);
    expect(logged(station, EXCHANGED)).toHaveLength(1);
  });

  it('by the redirect: the page asks to be loaded again, and that works', async () => {
    const redis = await stationOnItsOwnRedis();
    const { simulator } = station;
    const { code } = simulator.grant(C, AUTHORIZER);
    const page = await donePage(station, code, { lang: 'en' });
    await redis.kill();
    await becomes(station, 503);
    const answer = await page();
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await answer.text()).toContain('Please reload this page');
    expect(exchangesAsked(station)).toEqual([]);
    await redis.start();
    await becomes(station, 200);
    expect(await opened(station, page)).toContain('The account is authorized');
    expect(await secondsUntilAlive(station, 60)).toBeLessThanOrEqual(40);
    expect(exchangesAsked(station)).toEqual([0]);
  });
});

describe('row 88: Redis dies between the answer of WeChat and storing it', () => {
  /** Redis is gone, and WeChat's answer on its way. */
  const loseRedis = async () => {
    const redis = await stationOnItsOwnRedis();
    const { simulator, clock } = station;
    const fault = { type: 'delay', ms: 2_000 } as const;
    simulator.addFault({ api: QUERY, afterMint: true, fault });
    expect(await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code)).toMatchObject({
      accepted: true,
    });
    await vi.waitFor(() => expect(exchangesAsked(station)).toEqual([0]), POLLING);
    await redis.kill();
    await becomesAway();
    await clock.advance(2_000);
    await vi.waitFor(
      () => expect(logged(station, KEPT_IN_HAND).length).toBeGreaterThan(0),
      POLLING,
    );
    return redis;
  };
  /** As `becomes`, but an exchange is under way and waits for the clock. */
  const becomesAway = (status = 503) =>
    vi.waitFor(async () => {
      expect((await station.internal('/readyz')).status).toBe(status);
    }, POLLING);

  it('for three seconds: the answer is kept in hand and stored', async () => {
    const redis = await loseRedis();
    const { clock } = station;
    await clock.advance(3_000);
    await redis.start();
    await becomesAway(200);
    await vi.waitFor(async () => {
      await clock.advance(500);
      expect(logged(station, EXCHANGED)).toHaveLength(1);
    }, POLLING);
    await station.settle();
    expect(await secondsUntilAlive(station, 60)).toBeLessThanOrEqual(40);
    expect(exchangesAsked(station)).toEqual([0]);
    const lines = logged(station, KEPT_IN_HAND);
    expect(lines.every(({ level }) => level === 'warn')).toBe(true);
    expect(logged(station, HEALED)).toEqual([]);
  });

  it('for longer than ten seconds: the answer is lost, and WeChat names the refresh token', async () => {
    const redis = await loseRedis();
    const { clock } = station;
    await vi.waitFor(async () => {
      await clock.advance(500);
      const gaveUp = logged(station, 'an authorization code could not be looked at');
      expect(gaveUp.length).toBeGreaterThan(0);
      expect(gaveUp[0]).toMatchObject({ level: 'warn', component: C });
    }, POLLING);
    await redis.start();
    await becomes(station, 200);
    expect(await secondsUntilAlive(station, 90)).toBeLessThanOrEqual(60);
    expect(exchangesAsked(station)).toEqual([0, 61009]);
    expect(logged(station, HEALED)).toMatchObject([{ level: 'warn' }]);
    expect(logged(station, LOST)).toEqual([]);
  });
});

describe('what is wrong with one code holds up no other', () => {
  it('the record of its account was spoiled by hand', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, redis, keys } = station;
    const [broken, whole] = [accountOf(1), accountOf(2)];
    const record = keys.record(authorizerToken(C, broken));
    await redis.set(record, 'spoiled');
    for (const account of [broken, whole]) {
      const { code } = simulator.grant(C, account);
      expect((await simulator.pushAuthorized(C, account, code)).status).toBe(200);
    }
    await station.settle();
    const served = () => read(station, authorizerToken(C, whole));
    expect(await served()).toMatchObject({ status: 200 });
    const line = logged(station, 'a record was edited by hand; it is kept aside and made anew')[0];
    const { subject } = authorizerToken(C, broken);
    expect(line).toMatchObject({ level: 'error', subject });
    expect(await redis.get(keys.spoiled(authorizerToken(C, broken)))).toBe('spoiled');
    await secondsUntilAlive(station, 0, broken);
    expect(exchangesAsked(station)).toEqual([0, 0]);
  });
});

describe('the clock of Redis is wrong', () => {
  const BUSY = { type: 'errcode', errcode: -1 } as const;

  it('set back by an hour while a code waits: it is tried again within a round', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    simulator.addFault({ api: QUERY, fault: BUSY });
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    expect(logged(station, NOT_YET)).toHaveLength(1);
    clock.jumpStoreClock(-HOUR);
    await station.pass(20_000);
    expect(exchangesAsked(station)).toEqual([-1, 0]);
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 200 });
    await expectAlive(station);
  });

  it.each([
    ['ahead', HOUR],
    ['behind', -HOUR],
  ])('an hour %s: a code is tried as long as WeChat takes it', async (_what, jump) => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    clock.jumpStoreClock(jump);
    await station.pass(MINUTE);
    const since = clock.now();
    simulator.addFault({ api: QUERY, times: 'forever', fault: BUSY });
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    await station.pass(9 * MINUTE);
    expect(callsSince(station, INFO, since)).toEqual([]);
    simulator.clearFaults();
    expect(await secondsUntilAlive(station, 20)).toBeLessThanOrEqual(15);
    expect(exchangesAsked(station).at(-1)).toBe(0);
  });
});
