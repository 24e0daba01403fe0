import { afterEach, describe, expect, it } from 'vitest';
import type { EncryptionKey } from '../../src/config/formats.ts';
import { readyEncryption } from '../../src/store/redis/encryption-keys.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { authorizationOf, authorize, AUTHORIZED, mintsFor } from '../kit/authorizers.ts';
import { read } from '../kit/observe.ts';
import {
  CANNOT,
  createSealedPlatform,
  NEW,
  newKey,
  OLD,
  OTHER,
  settingOf,
  type SealedPlatform,
} from '../kit/encrypted-tokens.ts';
import { killServices, startService } from '../kit/service.ts';
import { HOUR, MINUTE, stationEnv, type Station } from '../kit/platform.ts';

const ONE_LIFE = 2 * HOUR;

let platform: SealedPlatform;
let station: Station;
afterEach(async () => {
  await platform.close();
  await killServices();
});

async function start(...keys: readonly EncryptionKey[]): Promise<void> {
  platform = await createSealedPlatform(...keys);
  ({ station } = platform);
}

const record = () => station.redis.hgetall(station.keys.record(AUTHORIZED));

describe('keys that did not seal what is stored', () => {
  it.each([
    {
      what: 'another key of the same name',
      keys: [newKey('old')],
      says: 'REFRESH_TOKEN_KEYS: the key named old is not the one that sealed the stored tokens',
    },
    {
      what: 'no keys',
      keys: [],
      says: 'REFRESH_TOKEN_KEYS has none of the keys that sealed the stored tokens: old',
    },
  ])('$what: a process ends with 78 and changes nothing', async ({ keys, says }) => {
    await start(OLD);
    await authorize(station);
    await platform.pass(MINUTE);
    await station.app.stop();
    const before = await platform.everything();
    const { redisUrl, redisKeyPrefix } = station.config;
    const service = startService({
      ...stationEnv(station.simulator, redisUrl, redisKeyPrefix),
      REFRESH_TOKEN_KEYS: settingOf(keys),
    });
    expect(await service.exit).toEqual({ code: 78, signal: null });
    expect(service.stderr()).toContain(`- ${says}`);
    expect(service.output()).toContain(CANNOT);
    for (const { key } of [OLD, ...keys]) expect(service.output()).not.toContain(key);
    expect(await platform.everything()).toEqual(before);
  });

  it.each([
    { what: 'a key of another name alone', keys: [NEW], says: 'none of the keys' },
    { what: 'a wrong one behind a good one', keys: [NEW, newKey('old')], says: 'named old' },
  ])('$what: it does not start and changes nothing', async ({ keys, says }) => {
    await start(OLD);
    await authorize(station);
    await platform.pass(MINUTE);
    await station.app.stop();
    const before = await platform.everything();
    await expect(platform.addReplica(...keys)).rejects.toThrow(says);
    expect(await platform.everything()).toEqual(before);
  });

  it('two that are new at the same time under one name: the second to seal gives way', async () => {
    await start(newKey('same'));
    const second = await platform.addReplica(newKey('same'));
    await authorize(station);
    const { refresh_token: sealed } = await record();
    await platform.pass(2 * MINUTE);
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 200 });
    await platform.skip(ONE_LIFE);
    expect(second.logs.filter((line) => line.includes(CANNOT))).toHaveLength(1);
    const { refresh_token: now } = await record();
    expect(now).toMatch(/^sealed:v1:same:/);
    expect(now).not.toBe(sealed);
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
  });

  it('are refused to whoever registers second, in the same moment too', async () => {
    await start();
    const [first, second] = [newKey('same'), newKey('same')].map((key) => ({
      ...station.store,
      encryption: createTokenEncryption([key]),
    })) as [Store, Store];
    const problems = await Promise.all([readyEncryption(first), readyEncryption(second)]);
    expect(problems.map((problem) => problem?.code)).toEqual([undefined, 'sealed_unreadable']);
    const known = await station.redis.hget(station.keys.sealKeys, 'same');
    expect(first.encryption.open(known ?? '', 'seal_keys:same')).toBeDefined();
  });

  it('found when Redis is back later: it serves what is live, writes no token and says so', async () => {
    await start(OLD);
    await authorize(station);
    await platform.pass(MINUTE);
    const { value, refresh_token: sealed } = await record();
    await station.app.stop();
    const known = await station.redis.hgetall(station.keys.sealKeys);
    // As if Redis had been away at the start: what it knows of keys comes back after it.
    await station.redis.del(station.keys.sealKeys);
    const replica = await platform.addReplica(newKey('old'));
    await station.redis.hset(station.keys.sealKeys, known);
    await platform.pass(2 * MINUTE);
    expect(await replica.read()).toMatchObject({ status: 200, value });
    // A token that it could open, because it is not sealed, is not refreshed with either.
    const plain = await authorize(station, OTHER);
    await station.redis.hset(station.keys.record(OTHER), 'refresh_token', plain);
    await platform.skip(ONE_LIFE);
    expect(await replica.read()).toMatchObject({
      status: 503,
      error: {
        code: 'sealed_unreadable',
        message: expect.stringContaining('REFRESH_TOKEN_KEYS') as string,
      },
    });
    expect(mintsFor(station)).toHaveLength(2);
    expect(mintsFor(station, OTHER)).toHaveLength(1);
    expect((await record()).refresh_token).toBe(sealed);
    expect((await authorizationOf(station, OTHER)).refreshToken).toBe(plain);
    expect(await station.redis.hgetall(station.keys.sealKeys)).toEqual(known);
    expect(replica.logs.filter((line) => line.includes(CANNOT))).toHaveLength(1);
    const answer = await replica.internal('/status');
    expect(await answer.json()).toMatchObject({
      verdict: 'attention',
      problems: expect.arrayContaining([
        expect.objectContaining({ code: 'seal_key_wrong' }),
      ]) as unknown,
    });

    await replica.stop();
    const right = await platform.addReplica(OLD);
    await platform.pass(2 * MINUTE);
    expect(await right.read()).toMatchObject({ status: 200 });
    expect(mintsFor(station)).toHaveLength(3);
  });
});
