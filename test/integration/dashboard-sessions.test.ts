import { createHmac, hkdfSync } from 'node:crypto';
import { afterEach, describe, expect, inject, it } from 'vitest';
import type { Service } from '../../src/service.ts';
import { createSession } from '../../src/http/dashboard/session.ts';
import { createSessionSecret } from '../../src/store/operations/session-secret.ts';
import {
  ADMIN,
  createDashboardPlatform,
  createPerson,
  logIn,
  type Person,
  sharedSecret,
} from '../kit/dashboard.ts';
import { MINUTE, type TestPlatform, type TestPlatformOptions } from '../kit/platform.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';

/** What signs a session is in no setting, shared by the replicas, and outlives what becomes of Redis. */

const NAME = 'wxkeeper_session';
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function open(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const platform = await createDashboardPlatform(options);
  cleanups.push(() => platform.close());
  return platform;
}

/** A platform whose service reaches Redis through a network that may break. */
async function openBehindProxy(options: TestPlatformOptions = {}) {
  const proxy = await createTcpProxy({ socketPath: inject('redisUrl') });
  cleanups.push(() => proxy.close());
  const platform = await open({ redisUrl: proxy.url('redis'), ...options });
  platform.redis.on('error', () => undefined);
  return { proxy, platform };
}

/** Whether a cookie lets somebody in. */
async function enters(app: Service, cookie: string | undefined): Promise<boolean> {
  const person = createPerson(app.internalPort());
  person.cookies.set(NAME, cookie ?? '');
  return (await person.get('/')).status === 200;
}

const cookieOf = (person: Person) => person.cookies.get(NAME);
const enter = async (app: Service) => cookieOf(await logIn(app.internalPort(), ADMIN.key));

describe('a session', () => {
  it('cannot be made by who knows only the settings', async () => {
    const platform = await open();
    await logIn(platform.app.internalPort(), ADMIN.key);
    const key = platform.config.apiKeys.find(({ id }) => id === 'ada');
    if (key === undefined) throw new Error('no such key');
    const now = platform.clock.now();
    const sha256 = Buffer.from(key.sha256, 'hex');
    const guesses = [Buffer.alloc(0), Buffer.alloc(32), sha256, Buffer.from(key.sha256)];
    for (const secret of guesses) {
      expect(await enters(platform.app, createSession(secret, key, now))).toBe(false);
    }
    // As it was signed once: with the hash alone.
    const [id, expires, nonce] = createSession(Buffer.alloc(0), key, now).split('.');
    const body = [id, expires, nonce].join('.');
    const hashOnly = Buffer.from(hkdfSync('sha256', sha256, '', 'wxkeeper dashboard session', 32));
    const signature = createHmac('sha256', hashOnly).update(body).digest('base64url');
    expect(await enters(platform.app, `${body}.${signature}`)).toBe(false);
    // Nor by who knows only what is in Redis; it takes both.
    const secret = await sharedSecret(platform);
    const otherKey = { ...key, sha256: 'f'.repeat(64) };
    expect(await enters(platform.app, createSession(secret, otherKey, now))).toBe(false);
    expect(await enters(platform.app, createSession(secret, key, now))).toBe(true);
  });

  it('counts at every replica, also when two of them make the secret at the same time', async () => {
    const platform = await open({ startApp: false });
    const { redis, keys } = platform;
    // Many pairs of replicas that have seen no secret yet.
    for (let round = 0; round < 20; round += 1) {
      await redis.del(keys.sessionSecret);
      const pair = [createSessionSecret(platform.store), createSessionSecret(platform.store)];
      const [one, other] = await Promise.all(pair.map((secret) => secret.current()));
      expect(one?.toString('hex')).toBe(other?.toString('hex'));
      expect(one).toEqual(await sharedSecret(platform));
      expect(one).toHaveLength(32);
    }
    await redis.del(keys.sessionSecret);
    const apps = await Promise.all([platform.addReplica(), platform.addReplica()]);
    const cookies = await Promise.all(apps.map(enter));
    for (const app of apps) {
      for (const cookie of cookies) expect(await enters(app, cookie)).toBe(true);
    }
  });

  it('outlives Redis being away', async () => {
    const { proxy, platform } = await openBehindProxy();
    const before = await enter(platform.app);
    proxy.reset();
    proxy.refuse();
    await becomes(platform, 503);
    expect(await enters(platform.app, before)).toBe(true);
    const during = await enter(platform.app);
    await proxy.heal();
    await becomes(platform, 200);
    expect(await enters(platform.app, before)).toBe(true);
    expect(await enters(platform.app, during)).toBe(true);
  });

  it('ends when Redis is reached for the first time, if it was not before', async () => {
    const { proxy, platform } = await openBehindProxy({ startApp: false });
    proxy.reset();
    proxy.refuse();
    await platform.app.start();
    const early = await enter(platform.app);
    expect(await enters(platform.app, early)).toBe(true);
    // Another replica has made the secret meanwhile.
    const direct = await open({ env: { REDIS_KEY_PREFIX: platform.config.redisKeyPrefix } });
    const theirs = await enter(direct.app);
    expect(await enters(platform.app, theirs)).toBe(false);
    await proxy.heal();
    await becomes(platform, 200);
    expect(await enters(platform.app, early)).toBe(false);
    const { apiKeys } = platform.config;
    const key = apiKeys.find(({ id }) => id === 'ada');
    if (key === undefined) throw new Error('no such key');
    const secret = await sharedSecret({ ...platform, redis: direct.redis });
    const shared = createSession(secret, key, platform.clock.now());
    expect(await enters(platform.app, shared)).toBe(true);
  });

  it.each([
    ['empties Redis', (platform: TestPlatform) => platform.redis.del(platform.keys.sessionSecret)],
    [
      'writes nonsense',
      (platform: TestPlatform) => platform.redis.set(platform.keys.sessionSecret, 'x'),
    ],
    [
      'puts a list there',
      async ({ redis, keys }: TestPlatform) => {
        await redis.del(keys.sessionSecret);
        await redis.rpush(keys.sessionSecret, 'x');
      },
    ],
  ])('outlives that somebody %s: the secret is written back', async (_what, harm) => {
    const platform = await open();
    const cookie = await enter(platform.app);
    const secret = await sharedSecret(platform);
    expect(await platform.redis.pttl(platform.keys.sessionSecret)).toBe(-1);
    await harm(platform);
    expect(await enters(platform.app, cookie)).toBe(true);
    await platform.pass(MINUTE);
    expect(await sharedSecret(platform)).toEqual(secret);
    expect(await enters(await platform.addReplica(), cookie)).toBe(true);
  });
});
