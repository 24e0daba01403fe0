import { afterEach, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorizerToken, revokeAuthorization } from '../../src/store/authorizers/authorization.ts';
import {
  authorizationOf,
  authorize,
  AUTHORIZED,
  AUTHORIZER_API,
  mintsFor,
} from '../kit/authorizers.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, read, stored } from '../kit/observe.ts';
import { COMPONENT, createTestPlatform, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { remove } from '../kit/redis-shapes/whole.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { secondsUntil } from '../kit/waiting.ts';

const RESTORED = 'Redis had lost a credential; restored from memory';
/** Seconds in which what a replica remembers is back. */
const AT_MOST = 60;

let platform: TestPlatform;
let server: RedisServer | undefined;
afterEach(async () => {
  await platform.close();
  await server?.stop();
  server = undefined;
});

async function platformWithToken(
  redisUrl?: string,
): Promise<{ refreshToken: string; value: string }> {
  platform = await createTestPlatform({
    ticket: true,
    ...(redisUrl !== undefined && { redisUrl }),
  });
  platform.redis.on('error', () => undefined);
  const refreshToken = await authorize(platform);
  await platform.pass(MINUTE);
  const { kept } = await stored(platform, AUTHORIZED);
  return { refreshToken, value: String(kept.value) };
}

const dueIndex = () => platform.keys.due(AUTHORIZED.kind, COMPONENT.appid);
const record = () => platform.redis.hgetall(platform.keys.record(AUTHORIZED));

describe('rows 4 and 6: what Redis has lost of an authorizer', () => {
  it.each([
    [
      'all of it',
      () => [platform.keys.record(AUTHORIZED), platform.keys.mirror(AUTHORIZED), dueIndex()],
    ],
    ['its record', () => [platform.keys.record(AUTHORIZED)]],
    ['the key for readers', () => [platform.keys.mirror(AUTHORIZED)]],
    ['the index', () => [dueIndex()]],
  ])('%s is back within a minute, without anybody asking and without a call', async (_, lost) => {
    const { refreshToken, value } = await platformWithToken();
    const planned = (await authorizationOf(platform)).lookAt;
    const calls = platform.simulator.ledger.calls.length;
    await remove(platform.redis, lost());
    const back = async () => {
      expect(await platform.redis.get(platform.keys.mirror(AUTHORIZED))).toBe(value);
      expect(await record()).toMatchObject({ value, refresh_token: refreshToken });
      expect((await authorizationOf(platform)).lookAt).toBe(planned);
    };
    expect(await secondsUntil(platform, AT_MOST, back)).toBeGreaterThan(0);
    expect(platform.simulator.ledger.calls).toHaveLength(calls);
    platform.simulator.setPushing(true);
    await platform.skip(2 * HOUR);
    expect(mintsFor(platform)).toHaveLength(3);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
  });

  it('a refresh token alone is written back', async () => {
    const { refreshToken } = await platformWithToken();
    await platform.redis.hdel(platform.keys.record(AUTHORIZED), 'refresh_token');
    const back = async () => expect(await record()).toMatchObject({ refresh_token: refreshToken });
    expect(await secondsUntil(platform, AT_MOST, back)).toBeGreaterThan(0);
    expect(logged(platform, RESTORED, AUTHORIZED.kind)).toMatchObject([{ level: 'warn' }]);
  });
});

describe('row 71: an authorization after the record was lost', () => {
  it('wins over what is remembered of the former one', async () => {
    const { refreshToken, value } = await platformWithToken();
    await platform.redis.del(platform.keys.record(AUTHORIZED), platform.keys.mirror(AUTHORIZED));
    const newer = await authorize(platform);
    expect(newer).not.toBe(refreshToken);
    await platform.pass(MINUTE);
    expect(await record()).toMatchObject({ refresh_token: newer });
    const seen = await read(platform, AUTHORIZED);
    expect(seen.value).not.toBe(value);
    expect(platform.simulator.isLive(AUTHORIZED.kind, seen.value ?? '')).toBe(true);
    platform.simulator.setPushing(true);
    await platform.skip(2 * HOUR + 5 * MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    expect(await record()).toMatchObject({ refresh_token: newer });
  });
});

describe('row 70: a revocation is remembered', () => {
  it('while Redis is away, and when it comes back without it', async () => {
    server = await startRedisServer();
    await platformWithToken(server.url);
    await revokeAuthorization(platform.store, AUTHORIZED, platform.clock.now());
    const gone = { status: 410, error: { code: 'authorizer_revoked' } };
    expect(await read(platform, AUTHORIZED)).toMatchObject(gone);
    await server.kill();
    await becomes(platform, 503);
    expect(await read(platform, AUTHORIZED)).toMatchObject(gone);
    await server.start();
    await becomes(platform, 200);
    await platform.pass(MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject(gone);
    const { revoked, refreshToken, lookAt } = await authorizationOf(platform);
    expect({ revoked, refreshToken, lookAt }).toEqual({ revoked: true });
    expect(await platform.redis.exists(platform.keys.mirror(AUTHORIZED))).toBe(0);
  });
});

describe('row 75: many authorizers whose calls hang', () => {
  it('do not keep the patrol from the rest', async () => {
    platform = await createTestPlatform({ ticket: true });
    await platform.pass(MINUTE);
    for (let index = 0; index < 60; index += 1) {
      const appid = `wx${index.toString(16).padStart(16, '0')}`;
      await authorize(platform, authorizerToken(COMPONENT.appid, appid));
    }
    const { simulator, clock, redis, keys } = platform;
    simulator.addFault({ api: AUTHORIZER_API, times: 'forever', fault: { type: 'hang' } });
    const asked = () => simulator.ledger.calls.filter(({ api }) => api === AUTHORIZER_API).length;
    const mirror = await redis.get(keys.mirror(TOKEN));
    let seconds = 0;
    for (; asked() === 0 && seconds < 60; seconds += 1) await step();
    await redis.del(keys.mirror(TOKEN));
    for (seconds = 0; seconds < 40; seconds += 1) {
      if ((await redis.get(keys.mirror(TOKEN))) === mirror) break;
      await step();
    }
    expect(seconds).toBeLessThanOrEqual(16);
    expect(asked()).toBeLessThan(60);
    // Those under way are given up, so that the process can end.
    simulator.clearFaults();
    await step(8_000);

    /** Time in which calls may hang; Redis and HTTP get their turn. */
    async function step(ms = 1_000): Promise<void> {
      await clock.advance(ms);
      for (let turn = 0; turn < 20; turn += 1) await redis.ping();
    }
  });
});
