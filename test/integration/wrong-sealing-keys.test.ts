import { afterEach, describe, expect, it } from 'vitest';
import type { EncryptionKey } from '../../src/config/formats.ts';
import { readyEncryption } from '../../src/store/redis/encryption-keys.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { authorizationOf, authorize, AUTHORIZED, mintsFor } from '../kit/authorizers.ts';
import {
  addReplicaWithKeys,
  CANNOT,
  createEncryptingPlatform,
  everythingIn,
  NEW,
  newKey,
  OLD,
  OTHER,
  settingOf,
} from '../kit/encrypted-tokens.ts';
import { read } from '../kit/observe.ts';
import { HOUR, MINUTE, platformEnv, type TestPlatform } from '../kit/platform.ts';
import { killServices, startService } from '../kit/service.ts';

const ONE_LIFE = 2 * HOUR;

let platform: TestPlatform;
afterEach(async () => {
  await platform.close();
  await killServices();
});

async function start(...keys: readonly EncryptionKey[]): Promise<void> {
  platform = await createEncryptingPlatform(...keys);
}

const record = () => platform.redis.hgetall(platform.keys.record(AUTHORIZED));

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
    await authorize(platform);
    await platform.pass(MINUTE);
    await platform.app.stop();
    const before = await everythingIn(platform);
    const { redis, redisKeyPrefix } = platform.config;
    const service = startService({
      ...platformEnv(platform.simulator, redis.url ?? '', redisKeyPrefix),
      REFRESH_TOKEN_KEYS: settingOf(keys),
    });
    expect(await service.exit).toEqual({ code: 78, signal: null });
    expect(service.stderr()).toContain(`- ${says}`);
    expect(service.output()).toContain(CANNOT);
    for (const { key } of [OLD, ...keys]) expect(service.output()).not.toContain(key);
    expect(await everythingIn(platform)).toEqual(before);
  });

  it.each([
    { what: 'a key of another name alone', keys: [NEW], says: 'none of the keys' },
    { what: 'a wrong one behind a good one', keys: [NEW, newKey('old')], says: 'named old' },
  ])('$what: it does not start and changes nothing', async ({ keys, says }) => {
    await start(OLD);
    await authorize(platform);
    await platform.pass(MINUTE);
    await platform.app.stop();
    const before = await everythingIn(platform);
    await expect(addReplicaWithKeys(platform, ...keys)).rejects.toThrow(says);
    expect(await everythingIn(platform)).toEqual(before);
  });

  it('two that are new at the same time under one name: the second to seal gives way', async () => {
    await start(newKey('same'));
    const second = await addReplicaWithKeys(platform, newKey('same'));
    await authorize(platform);
    const { refresh_token: sealed } = await record();
    await platform.pass(2 * MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    await platform.skip(ONE_LIFE);
    expect(second.logs.filter(({ message }) => message === CANNOT)).toHaveLength(1);
    const { refresh_token: now } = await record();
    expect(now).toMatch(/^sealed:v1:same:/);
    expect(now).not.toBe(sealed);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
  });

  it('are refused to whoever registers second, in the same moment too', async () => {
    await start();
    const [first, second] = [newKey('same'), newKey('same')].map((key) => ({
      ...platform.store,
      encryption: createTokenEncryption([key]),
    })) as [Store, Store];
    const problems = await Promise.all([readyEncryption(first), readyEncryption(second)]);
    expect(problems.map((problem) => problem?.code)).toEqual([undefined, 'sealed_unreadable']);
    const known = await platform.redis.hget(platform.keys.sealKeys, 'same');
    expect(first.encryption.open(known ?? '', 'seal_keys:same')).toBeDefined();
  });

  it('found when Redis is back later: it serves what is live, writes no token and says so', async () => {
    await start(OLD);
    await authorize(platform);
    await platform.pass(MINUTE);
    const { value, refresh_token: sealed } = await record();
    await platform.app.stop();
    const known = await platform.redis.hgetall(platform.keys.sealKeys);
    // As if Redis had been away at the start: what it knows of keys comes back after it.
    await platform.redis.del(platform.keys.sealKeys);
    const replica = await addReplicaWithKeys(platform, newKey('old'));
    await platform.redis.hset(platform.keys.sealKeys, known);
    await platform.pass(2 * MINUTE);
    expect(await replica.read()).toMatchObject({ status: 200, value });
    // A token that it could open, because it is not sealed, is not refreshed with either.
    const plain = await authorize(platform, OTHER);
    await platform.redis.hset(platform.keys.record(OTHER), 'refresh_token', plain);
    await platform.skip(ONE_LIFE);
    expect(await replica.read()).toMatchObject({
      status: 503,
      error: {
        code: 'sealed_unreadable',
        message: expect.stringContaining('REFRESH_TOKEN_KEYS') as string,
      },
    });
    expect(mintsFor(platform)).toHaveLength(2);
    expect(mintsFor(platform, OTHER)).toHaveLength(1);
    expect((await record()).refresh_token).toBe(sealed);
    expect((await authorizationOf(platform, OTHER)).refreshToken).toBe(plain);
    expect(await platform.redis.hgetall(platform.keys.sealKeys)).toEqual(known);
    expect(replica.logs.filter(({ message }) => message === CANNOT)).toHaveLength(1);
    const answer = await replica.internal('/status');
    expect(await answer.json()).toMatchObject({
      verdict: 'attention',
      problems: expect.arrayContaining([
        expect.objectContaining({ code: 'seal_key_wrong' }),
      ]) as unknown,
    });

    await replica.stop();
    const right = await addReplicaWithKeys(platform, OLD);
    await platform.pass(2 * MINUTE);
    expect(await right.read()).toMatchObject({ status: 200 });
    expect(mintsFor(platform)).toHaveLength(3);
  });
});
