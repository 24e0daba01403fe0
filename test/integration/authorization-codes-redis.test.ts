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

let platform: TestPlatform;
let server: RedisServer | undefined;
afterEach(async () => {
  await platform.close();
  await server?.stop();
  server = undefined;
});

async function stationOnItsOwnRedis(): Promise<RedisServer> {
  server = await startRedisServer({ appendOnly: true, args: ['--appendfsync', 'always'] });
  platform = await createTestPlatform({ links: true, listRead: true, redisUrl: server.url });
  platform.redis.on('error', () => undefined);
  return server;
}

describe('row 88: Redis is away when a code comes', () => {
  it('by the event: it is refused, and works when WeChat sends it again', async () => {
    const redis = await stationOnItsOwnRedis();
    const { simulator } = platform;
    const { code } = simulator.grant(C, AUTHORIZER);
    await redis.kill();
    await becomes(platform, 503);
    const pushed = await authorizedEvent(platform, code);
    expect(pushed).toMatchObject({ status: 503, accepted: false });
    expect(pushed.answer).not.toContain('success');
    expect(exchangesAsked(platform)).toEqual([]);
    await redis.start();
    await becomes(platform, 200);
    expect(await exchangesKept(platform)).toEqual([]);
    expect(await post(pushed)).toMatchObject({ status: 200, text: 'success' });
    await platform.settle();
    expect(await secondsUntilAlive(platform, 60)).toBeLessThanOrEqual(40);
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(logged(platform, EXCHANGED)).toHaveLength(1);
  });

  it('by the redirect: the page asks to be loaded again, and that works', async () => {
    const redis = await stationOnItsOwnRedis();
    const { simulator } = platform;
    const { code } = simulator.grant(C, AUTHORIZER);
    const page = await donePage(platform, code, { lang: 'en' });
    await redis.kill();
    await becomes(platform, 503);
    const answer = await page();
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await answer.text()).toContain('Please reload this page');
    expect(exchangesAsked(platform)).toEqual([]);
    await redis.start();
    await becomes(platform, 200);
    expect(await opened(platform, page)).toContain('The account is authorized');
    expect(await secondsUntilAlive(platform, 60)).toBeLessThanOrEqual(40);
    expect(exchangesAsked(platform)).toEqual([0]);
  });
});

describe('row 88: Redis dies between the answer of WeChat and storing it', () => {
  /** Redis is gone, and WeChat's answer on its way. */
  const loseRedis = async () => {
    const redis = await stationOnItsOwnRedis();
    const { simulator, clock } = platform;
    const fault = { type: 'delay', ms: 2_000 } as const;
    simulator.addFault({ api: QUERY, afterMint: true, fault });
    expect(await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code)).toMatchObject({
      accepted: true,
    });
    await vi.waitFor(() => expect(exchangesAsked(platform)).toEqual([0]), POLLING);
    await redis.kill();
    await becomesAway();
    await clock.advance(2_000);
    await vi.waitFor(
      () => expect(logged(platform, KEPT_IN_HAND).length).toBeGreaterThan(0),
      POLLING,
    );
    return redis;
  };
  /** As `becomes`, but an exchange is under way and waits for the clock. */
  const becomesAway = (status = 503) =>
    vi.waitFor(async () => {
      expect((await platform.internal('/readyz')).status).toBe(status);
    }, POLLING);

  it('for three seconds: the answer is kept in hand and stored', async () => {
    const redis = await loseRedis();
    const { clock } = platform;
    await clock.advance(3_000);
    await redis.start();
    await becomesAway(200);
    await vi.waitFor(async () => {
      await clock.advance(500);
      expect(logged(platform, EXCHANGED)).toHaveLength(1);
    }, POLLING);
    await platform.settle();
    expect(await secondsUntilAlive(platform, 60)).toBeLessThanOrEqual(40);
    expect(exchangesAsked(platform)).toEqual([0]);
    const lines = logged(platform, KEPT_IN_HAND);
    expect(lines.every(({ level }) => level === 'warn')).toBe(true);
    expect(logged(platform, HEALED)).toEqual([]);
  });

  it('for longer than ten seconds: the answer is lost, and WeChat names the refresh token', async () => {
    const redis = await loseRedis();
    const { clock } = platform;
    await vi.waitFor(async () => {
      await clock.advance(500);
      const gaveUp = logged(platform, 'an authorization code could not be looked at');
      expect(gaveUp.length).toBeGreaterThan(0);
      expect(gaveUp[0]).toMatchObject({ level: 'warn', component: C });
    }, POLLING);
    await redis.start();
    await becomes(platform, 200);
    expect(await secondsUntilAlive(platform, 90)).toBeLessThanOrEqual(60);
    expect(exchangesAsked(platform)).toEqual([0, 61009]);
    expect(logged(platform, HEALED)).toMatchObject([{ level: 'warn' }]);
    expect(logged(platform, LOST)).toEqual([]);
  });
});

describe('what is wrong with one code holds up no other', () => {
  it('the record of its account was spoiled by hand', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, redis, keys } = platform;
    const [broken, whole] = [accountOf(1), accountOf(2)];
    const record = keys.record(authorizerToken(C, broken));
    await redis.set(record, 'spoiled');
    for (const account of [broken, whole]) {
      const { code } = simulator.grant(C, account);
      expect((await simulator.pushAuthorized(C, account, code)).status).toBe(200);
    }
    await platform.settle();
    const served = () => read(platform, authorizerToken(C, whole));
    expect(await served()).toMatchObject({ status: 200 });
    const line = logged(platform, 'a record was edited by hand; it is kept aside and made anew')[0];
    const { subject } = authorizerToken(C, broken);
    expect(line).toMatchObject({ level: 'error', subject });
    expect(await redis.get(keys.spoiled(authorizerToken(C, broken)))).toBe('spoiled');
    await secondsUntilAlive(platform, 0, broken);
    expect(exchangesAsked(platform)).toEqual([0, 0]);
  });
});

describe('the clock of Redis is wrong', () => {
  const BUSY = { type: 'errcode', errcode: -1 } as const;

  it('set back by an hour while a code waits: it is tried again within a round', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    simulator.addFault({ api: QUERY, fault: BUSY });
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    expect(logged(platform, NOT_YET)).toHaveLength(1);
    clock.jumpStoreClock(-HOUR);
    await platform.pass(20_000);
    expect(exchangesAsked(platform)).toEqual([-1, 0]);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    await expectAlive(platform);
  });

  it.each([
    ['ahead', HOUR],
    ['behind', -HOUR],
  ])('an hour %s: a code is tried as long as WeChat takes it', async (_what, jump) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    clock.jumpStoreClock(jump);
    await platform.pass(MINUTE);
    const since = clock.now();
    simulator.addFault({ api: QUERY, times: 'forever', fault: BUSY });
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    await platform.pass(9 * MINUTE);
    expect(callsSince(platform, INFO, since)).toEqual([]);
    simulator.clearFaults();
    expect(await secondsUntilAlive(platform, 20)).toBeLessThanOrEqual(15);
    expect(exchangesAsked(platform).at(-1)).toBe(0);
  });
});
