import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { whenReady } from '../../src/store/redis/connection.ts';
import { freePort } from '../../src/sandbox/redis/launch.ts';
import type { RedisPurpose } from '../../src/store/redis/client.ts';
import { whenBack } from '../../src/store/redis/shards.ts';
import { expectHealed } from '../kit/expect.ts';
import { logged, read } from '../kit/observe.ts';
import { TOKEN } from '../kit/liveness.ts';
import { createTestPlatform, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { asked } from '../kit/redis-shapes/ask.ts';
import { startSentinel, type SentinelShape } from '../kit/redis-shapes/sentinel.ts';
import { connectAsService } from '../kit/redis-shapes/service-client.ts';
import { toldOfRedis } from '../kit/redis-told.ts';
import { becomes, newTicketPush, post, readiness, ticketMirror } from '../kit/redis-trouble.ts';
import { POLLING } from '../kit/waiting.ts';

/** Sentinels with a login of their own, what is wrong about them, and where they send us. */

const WRONG = 'canary-5d11';

let shape: SentinelShape;
beforeAll(async () => {
  shape = await startSentinel();
});
afterAll(() => shape.close());

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function platformOn(
  env: Record<string, string> = {},
  options: { ticket?: boolean } = {},
): Promise<TestPlatform> {
  const platform = await createTestPlatform({ redis: shape, env, ...options });
  platform.redis.on('error', () => undefined);
  undo.push(() => platform.close());
  return platform;
}

/** A client as the service has it. */
async function clientOf(purpose: RedisPurpose): Promise<Redis> {
  const redis = (await connectAsService(shape, purpose)) as Redis;
  undo.push(() => redis.disconnect());
  return redis;
}

describe('row 164: whatever is wrong about the Sentinels', () => {
  /** Nobody listens there. */
  const nowhere = async () => `127.0.0.1:${await freePort()},127.0.0.1:${await freePort()}`;
  const SECRETS = [WRONG, 'password-of-redis', 'password-of-sentinels'];
  it.each([
    {
      what: 'another password',
      env: () => ({ REDIS_SENTINEL_PASSWORD: WRONG }),
      says: /the Sentinels refuse our login.*WRONGPASS/,
      advice: /REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD/,
    },
    {
      what: 'the password of Redis, which is not theirs',
      env: () => ({ REDIS_SENTINEL_PASSWORD: 'password-of-redis' }),
      says: /the Sentinels refuse our login.*WRONGPASS/,
      advice: /REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD/,
    },
    {
      what: 'another user',
      env: () => ({ REDIS_SENTINEL_USERNAME: 'nobody' }),
      says: /the Sentinels refuse our login.*WRONGPASS/,
      advice: /REDIS_SENTINEL_USERNAME and REDIS_SENTINEL_PASSWORD/,
    },
    {
      what: 'another password at the master',
      env: () => ({ REDIS_PASSWORD: WRONG }),
      says: /it refuses user or password.*WRONGPASS/,
      advice: /REDIS_USERNAME and REDIS_PASSWORD/,
    },
    {
      what: 'a name that they do not know',
      env: () => ({ REDIS_SENTINEL_MASTER: 'mymaster' }),
      says: /the Sentinels know no master of that name/,
      advice: /Set REDIS_SENTINEL_MASTER to a name/,
    },
    {
      what: 'nobody is there',
      env: async () => ({ REDIS_SENTINELS: await nowhere() }),
      says: /no Sentinel can be asked/,
      advice: /at the addresses in REDIS_SENTINELS/,
    },
    {
      what: 'TLS, which they do not speak',
      env: () => ({ REDIS_SENTINEL_TLS: 'true' }),
      says: /no Sentinel can be asked/,
      advice: /speak TLS as REDIS_SENTINEL_TLS or REDIS_TLS says/,
    },
  ])('$what: it is named with its setting, and no secret is', async ({ env, says, advice }) => {
    const platform = await platformOn(await env());
    await becomes(platform, 503);
    expect(await post(newTicketPush(platform))).toMatchObject({ status: 503 });
    await vi.waitFor(() => expect(JSON.stringify(platform.logs)).toMatch(advice), POLLING);
    const { problem, doctor } = await toldOfRedis(platform, SECRETS);
    expect(problem.message).toMatch(says);
    for (const text of [problem.advice, doctor]) expect(text).toMatch(advice);
    const zh = await (await platform.internal('/status?lang=zh')).text();
    expect(zh).toMatch(/Redis 无法使用/);
  });

  it('after fifteen minutes a person is called, and once only', async () => {
    const platform = await platformOn({ REDIS_SENTINELS: await nowhere() });
    const cries = () =>
      logged(
        platform,
        'Redis has been away for 15 minutes: nothing is stored and nothing is refreshed',
      );
    await becomes(platform, 503);
    platform.clock.sleepThrough(14 * MINUTE);
    const attempts = () =>
      logged(platform, 'Redis cannot be used: no Sentinel can be asked').length;
    await vi.waitFor(() => expect(attempts()).toBe(1), POLLING);
    expect(cries()).toEqual([]);
    platform.clock.sleepThrough(MINUTE);
    await vi.waitFor(() => expect(cries()).toMatchObject([{ level: 'error' }]), POLLING);
    platform.clock.sleepThrough(15 * MINUTE);
    expect(await readiness(platform)).toBe(503);
    expect(cries()).toHaveLength(1);
  });
});

describe('row 163: a failover', () => {
  const connected = (platform: TestPlatform) => logged(platform, 'Redis connected').length;

  it('that is planned is followed: pushes and refreshes go on at the new master', async () => {
    const platform = await platformOn({}, { ticket: true });
    const client = await clientOf('commands');
    let heard = 0;
    whenBack(client, () => (heard += 1));
    const former = await shape.master();
    const before = connected(platform);
    const master = await shape.failover();
    expect(master).not.toBe(former);
    await vi.waitFor(() => expect(heard).toBe(1), POLLING);
    await vi.waitFor(() => expect(connected(platform)).toBeGreaterThan(before), POLLING);
    const push = newTicketPush(platform);
    await vi.waitFor(async () => expect(await post(push)).toMatchObject({ status: 200 }), POLLING);
    await vi.waitFor(async () => {
      const { keys, config } = platform;
      const [ticket] = await asked(master, (one) =>
        Promise.all([one.get(keys.ticketMirror(config.components[0]?.appid ?? ''))]),
      );
      expect(ticket).toBe(push.ticket);
    }, POLLING);
    await becomes(platform, 200);
    platform.simulator.setPushing(true);
    await platform.skip(2 * HOUR);
    await expectHealed(platform);
    // Sentinels live in real time: two hours of the clock may pass while the client changes sides.
    await vi.waitFor(async () => {
      await platform.pass(MINUTE);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, state: 'fresh' });
    }, POLLING);
    await shape.settled();
  });

  it('of a master that hangs: what was given up is not done at the new one, and all else goes on there', async () => {
    const platform = await platformOn({}, { ticket: true });
    const [redis, blocking] = [await clientOf('commands'), await clientOf('blocking')];
    const key = `${platform.config.redisKeyPrefix}given-up`;
    const stream = platform.keys.events('wx-of-nobody');
    const reading = (): ReturnType<Redis['xread']> =>
      blocking.xread('BLOCK', 0, 'STREAMS', stream, '0').catch(async () => {
        await whenReady(blocking, POLLING.timeout);
        return reading();
      });
    const waiting = reading();
    await redis.incr(key);
    const former = await shape.master();
    await asked(former, (one) => one.wait(2, 5_000));
    former.pause();
    undo.push(async () => {
      former.resume();
      await shape.settled();
    });
    const given = await Promise.allSettled(Array.from({ length: 5 }, () => redis.incr(key)));
    expect(given.map(({ status }) => status)).toEqual(Array<string>(5).fill('rejected'));
    const push = newTicketPush(platform);
    await vi.waitFor(async () => expect(await post(push)).toMatchObject({ status: 200 }), POLLING);
    const master = await shape.master();
    expect(master).not.toBe(former);
    await vi.waitFor(async () => expect(await redis.get(key)).toBe('1'), POLLING);
    expect(await redis.incr(key)).toBe(2);
    expect(await ticketMirror(platform)).toBe(push.ticket);
    await redis.xadd(stream, '*', 'said', 'hello');
    expect(await waiting).toMatchObject([[stream, [[expect.any(String), ['said', 'hello']]]]]);
    await becomes(platform, 200);
    platform.simulator.setPushing(true);
    await platform.skip(2 * HOUR);
    await expectHealed(platform);
    // What it has done of that meanwhile is gone when it is a replica.
    former.resume();
    await shape.settled();
    expect(await asked(former, (one) => one.get(key))).toBe('2');
  });
});
