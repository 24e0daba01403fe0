import { writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, inject, it } from 'vitest';
import type { Service } from '../../src/service.ts';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { loadConfig } from '../../src/config/load.ts';
import {
  ADMIN,
  API_KEYS,
  createDashboardPlatform,
  createPerson,
  logIn,
  type Person,
} from '../kit/dashboard.ts';
import { logged } from '../kit/observe.ts';
import {
  HOUR,
  MINUTE,
  platformEnv,
  type TestPlatform,
  type TestPlatformOptions,
} from '../kit/platform.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { killServices, startService } from '../kit/service.ts';
import { createTcpProxy } from '../kit/tcp-proxy.ts';
import { POLLING } from '../kit/waiting.ts';

/** When a session ends before its eight hours: a person logs out or stays away, or the key goes. */

const NAME = 'wxkeeper_session';
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await killServices();
});

async function open(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  const platform = await createDashboardPlatform(options);
  cleanups.push(() => platform.close());
  return platform;
}

const cookieOf = (person: Person) => person.cookies.get(NAME) ?? '';

/** Whether a copy of a cookie lets somebody in. */
async function enters(app: Service, cookie: string): Promise<boolean> {
  const person = createPerson(app.internalPort());
  person.cookies.set(NAME, cookie);
  return (await person.get('/')).status === 200;
}

describe('row 149: a session that was logged out', () => {
  it('is over for every copy of its cookie, at every replica, and trying one is told', async () => {
    const platform = await open();
    const other = await platform.addReplica();
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    const before = cookieOf(person);
    await platform.pass(5 * MINUTE);
    await person.get('/');
    const renewed = cookieOf(person);
    expect(renewed).not.toBe(before);
    const neighbour = cookieOf(await logIn(platform.app.internalPort(), ADMIN.key));
    await person.send('/logout', {});
    for (const app of [platform.app, other]) {
      for (const copy of [before, renewed]) expect(await enters(app, copy)).toBe(false);
      expect(await enters(app, neighbour)).toBe(true);
    }
    expect(logged(platform, 'access refused')[0]).toMatchObject({
      level: 'warn',
      key: 'ada',
      result: 'session_ended',
    });
    // A replica that starts afterwards knows it from Redis.
    expect(await enters(await platform.addReplica(), before)).toBe(false);
    // When it would have ended anyway, nobody remembers it.
    expect(await platform.redis.zcard(platform.keys.endedSessions)).toBe(1);
    await platform.skip(8 * HOUR);
    expect(await platform.redis.zcard(platform.keys.endedSessions)).toBe(0);
  });

  it('stays over while Redis is away, and Redis learns it when it is back', async () => {
    const proxy = await createTcpProxy({ socketPath: inject('redisUrl') });
    cleanups.push(() => proxy.close());
    const platform = await open({ redisUrl: proxy.url('redis') });
    platform.redis.on('error', () => undefined);
    const direct = await open({
      env: { REDIS_KEY_PREFIX: platform.config.redisKeyPrefix, API_KEYS },
    });
    const early = await logIn(platform.app.internalPort(), ADMIN.key);
    const late = await logIn(platform.app.internalPort(), ADMIN.key);
    const [one, two] = [cookieOf(early), cookieOf(late)];
    await (await logIn(direct.app.internalPort(), ADMIN.key)).get('/');
    const elsewhere = createPerson(direct.app.internalPort());
    elsewhere.cookies.set(NAME, one);
    await elsewhere.send('/logout', {});
    // The other replica has gone round once before Redis goes.
    await platform.pass(MINUTE);
    proxy.reset();
    proxy.refuse();
    await becomes(platform, 503);
    expect(await enters(platform.app, one)).toBe(false);
    await late.send('/logout', {});
    expect(await enters(platform.app, two)).toBe(false);
    await proxy.heal();
    await becomes(platform, 200);
    await platform.pass(MINUTE);
    expect(await enters(direct.app, two)).toBe(false);
  });

  it.each([
    ['emptied', (platform: TestPlatform) => platform.redis.del(platform.keys.endedSessions)],
    [
      'spoiled',
      async ({ redis, keys }: TestPlatform) => {
        await redis.del(keys.endedSessions);
        await redis.set(keys.endedSessions, 'x');
      },
    ],
  ])('stays over when Redis was %s', async (_what, harm) => {
    const platform = await open();
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    const cookie = cookieOf(person);
    await person.send('/logout', {});
    await harm(platform);
    expect(await enters(platform.app, cookie)).toBe(false);
    await platform.pass(MINUTE);
    expect(await enters(await platform.addReplica(), cookie)).toBe(false);
  });

  it('ends also for the browser that logs in anew', async () => {
    const platform = await open();
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    const former = cookieOf(person);
    await person.post('/login', { key: ADMIN.key });
    expect(await enters(platform.app, former)).toBe(false);
    expect(await enters(platform.app, cookieOf(person))).toBe(true);
  });
});

describe('row 149: a session without a person', () => {
  it('ends after an hour, whatever the page asks for by itself', async () => {
    const platform = await open();
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    for (let time = 0; time < 59; time += 10) {
      await platform.skip(10 * MINUTE - 1_000);
      expect((await person.get('/', { 'x-refresh': '1' })).status).toBe(200);
    }
    await platform.skip(MINUTE);
    expect((await person.get('/', { 'x-refresh': '1' })).status).toBe(303);
    expect((await person.get('/')).status).toBe(303);
  });

  it('lasts for a person who comes back in time, and no longer than a working day', async () => {
    const platform = await open();
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    const page = await (await person.get('/')).text();
    const csrf = /name="csrf"\s+value="([^"]+)"/.exec(page)?.[1] ?? '';
    for (let hour = 0; hour < 7; hour += 1) {
      await platform.skip(HOUR - MINUTE);
      expect((await person.get('/')).status).toBe(200);
    }
    // A form that was opened at the beginning is still good.
    const sent = await person.post('/dashboard/refresh', { csrf, kind: 'x', subject: 'y' });
    expect(sent.status).toBe(404);
    await platform.skip(HOUR - MINUTE);
    await person.get('/');
    await platform.skip(10 * MINUTE);
    expect((await person.get('/')).status).toBe(303);
  });
});

describe('row 149: keys that are read again', () => {
  const shop = makeApiKey('shop', 'status:read');

  it('end at once with their sessions, and new ones count; wrong settings change nothing', async () => {
    const platform = await open();
    const person = await logIn(platform.app.internalPort(), ADMIN.key);
    const status = async (key: string) =>
      (await platform.internal('/status', { headers: { authorization: `Bearer ${key}` } })).status;
    expect([await status(ADMIN.key), await status(shop.key)]).toEqual([200, 401]);
    const env = platformEnv(
      platform.simulator,
      platform.config.redis.url ?? '',
      platform.config.redisKeyPrefix,
    );
    platform.app.readKeysAgain(() =>
      loadConfig({ ...env, API_KEYS: 'nonsense', PUBLIC_PORT: 'x' }),
    );
    expect(logged(platform, 'settings are wrong; the API keys stay as they were')).toMatchObject([
      {
        level: 'error',
        faults: [expect.stringContaining('PUBLIC_PORT'), expect.stringContaining('API_KEYS')],
      },
    ]);
    expect([await status(ADMIN.key), (await person.get('/')).status]).toEqual([200, 200]);
    platform.app.readKeysAgain(() => ({
      ...platform.config,
      apiKeys: loadConfig({ ...env, API_KEYS: shop.entry }).apiKeys,
    }));
    expect(logged(platform, 'API keys read again')).toMatchObject([
      { level: 'info', added: ['shop'], removed: ['ada', 'rita', 'nora', 'hal', 'bob'] },
    ]);
    expect([await status(ADMIN.key), await status(shop.key)]).toEqual([401, 200]);
    expect((await person.get('/')).status).toBe(303);
  });

  it('by SIGHUP, from API_KEYS_FILE and CONFIG_FILE', async () => {
    const platform = await open({ startApp: false });
    const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-test-'));
    const [file, json] = [join(folder, 'keys'), join(folder, 'config.json')];
    writeFileSync(file, ADMIN.entry);
    writeFileSync(json, JSON.stringify({ api_keys: [] }));
    const { redis, redisKeyPrefix } = platform.config;
    const service = startService({
      ...platformEnv(platform.simulator, redis.url ?? '', redisKeyPrefix),
      API_KEYS_FILE: file,
      CONFIG_FILE: json,
    });
    const { internal_port: internalPort } = await service.line('wxkeeper started');
    const status = async (key: string) => {
      const headers = { authorization: `Bearer ${key}` };
      return (await fetch(`http://127.0.0.1:${String(internalPort)}/status`, { headers })).status;
    };
    expect([await status(ADMIN.key), await status(shop.key)]).toEqual([200, 401]);
    // An empty file would be a fault of the settings.
    writeFileSync(file, makeApiKey('other', 'status:read').entry);
    writeFileSync(json, JSON.stringify({ api_keys: [shop.entry] }));
    service.child.kill('SIGHUP');
    await expect.poll(() => status(shop.key), POLLING).toBe(200);
    expect(await status(ADMIN.key)).toBe(401);
    writeFileSync(json, '{');
    service.child.kill('SIGHUP');
    await expect.poll(() => service.output(), POLLING).toContain('CONFIG_FILE is not valid JSON');
    expect(await status(shop.key)).toBe(200);
  });
});
