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
  const station = await createDashboardPlatform(options);
  cleanups.push(() => station.close());
  return station;
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
    const station = await open();
    const other = await station.addReplica();
    const person = await logIn(station.app.internalPort(), ADMIN.key);
    const before = cookieOf(person);
    await station.pass(5 * MINUTE);
    await person.get('/');
    const renewed = cookieOf(person);
    expect(renewed).not.toBe(before);
    const neighbour = cookieOf(await logIn(station.app.internalPort(), ADMIN.key));
    await person.send('/logout', {});
    for (const app of [station.app, other]) {
      for (const copy of [before, renewed]) expect(await enters(app, copy)).toBe(false);
      expect(await enters(app, neighbour)).toBe(true);
    }
    expect(logged(station, 'access refused')[0]).toMatchObject({
      level: 'warn',
      key: 'ada',
      result: 'session_ended',
    });
    // A replica that starts afterwards knows it from Redis.
    expect(await enters(await station.addReplica(), before)).toBe(false);
    // When it would have ended anyway, nobody remembers it.
    expect(await station.redis.zcard(station.keys.endedSessions)).toBe(1);
    await station.skip(8 * HOUR);
    expect(await station.redis.zcard(station.keys.endedSessions)).toBe(0);
  });

  it('stays over while Redis is away, and Redis learns it when it is back', async () => {
    const proxy = await createTcpProxy({ socketPath: inject('redisUrl') });
    cleanups.push(() => proxy.close());
    const station = await open({ redisUrl: proxy.url('redis') });
    station.redis.on('error', () => undefined);
    const direct = await open({
      env: { REDIS_KEY_PREFIX: station.config.redisKeyPrefix, API_KEYS },
    });
    const early = await logIn(station.app.internalPort(), ADMIN.key);
    const late = await logIn(station.app.internalPort(), ADMIN.key);
    const [one, two] = [cookieOf(early), cookieOf(late)];
    await (await logIn(direct.app.internalPort(), ADMIN.key)).get('/');
    const elsewhere = createPerson(direct.app.internalPort());
    elsewhere.cookies.set(NAME, one);
    await elsewhere.send('/logout', {});
    // The other replica has gone round once before Redis goes.
    await station.pass(MINUTE);
    proxy.reset();
    proxy.refuse();
    await becomes(station, 503);
    expect(await enters(station.app, one)).toBe(false);
    await late.send('/logout', {});
    expect(await enters(station.app, two)).toBe(false);
    await proxy.heal();
    await becomes(station, 200);
    await station.pass(MINUTE);
    expect(await enters(direct.app, two)).toBe(false);
  });

  it.each([
    ['emptied', (station: TestPlatform) => station.redis.del(station.keys.endedSessions)],
    [
      'spoiled',
      async ({ redis, keys }: TestPlatform) => {
        await redis.del(keys.endedSessions);
        await redis.set(keys.endedSessions, 'x');
      },
    ],
  ])('stays over when Redis was %s', async (_what, harm) => {
    const station = await open();
    const person = await logIn(station.app.internalPort(), ADMIN.key);
    const cookie = cookieOf(person);
    await person.send('/logout', {});
    await harm(station);
    expect(await enters(station.app, cookie)).toBe(false);
    await station.pass(MINUTE);
    expect(await enters(await station.addReplica(), cookie)).toBe(false);
  });

  it('ends also for the browser that logs in anew', async () => {
    const station = await open();
    const person = await logIn(station.app.internalPort(), ADMIN.key);
    const former = cookieOf(person);
    await person.post('/login', { key: ADMIN.key });
    expect(await enters(station.app, former)).toBe(false);
    expect(await enters(station.app, cookieOf(person))).toBe(true);
  });
});

describe('row 149: a session without a person', () => {
  it('ends after an hour, whatever the page asks for by itself', async () => {
    const station = await open();
    const person = await logIn(station.app.internalPort(), ADMIN.key);
    for (let time = 0; time < 59; time += 10) {
      await station.skip(10 * MINUTE - 1_000);
      expect((await person.get('/', { 'x-refresh': '1' })).status).toBe(200);
    }
    await station.skip(MINUTE);
    expect((await person.get('/', { 'x-refresh': '1' })).status).toBe(303);
    expect((await person.get('/')).status).toBe(303);
  });

  it('lasts for a person who comes back in time, and no longer than a working day', async () => {
    const station = await open();
    const person = await logIn(station.app.internalPort(), ADMIN.key);
    const page = await (await person.get('/')).text();
    const csrf = /name="csrf"\s+value="([^"]+)"/.exec(page)?.[1] ?? '';
    for (let hour = 0; hour < 7; hour += 1) {
      await station.skip(HOUR - MINUTE);
      expect((await person.get('/')).status).toBe(200);
    }
    // A form that was opened at the beginning is still good.
    const sent = await person.post('/dashboard/refresh', { csrf, kind: 'x', subject: 'y' });
    expect(sent.status).toBe(404);
    await station.skip(HOUR - MINUTE);
    await person.get('/');
    await station.skip(10 * MINUTE);
    expect((await person.get('/')).status).toBe(303);
  });
});

describe('row 149: keys that are read again', () => {
  const shop = makeApiKey('shop', 'status:read');

  it('end at once with their sessions, and new ones count; wrong settings change nothing', async () => {
    const station = await open();
    const person = await logIn(station.app.internalPort(), ADMIN.key);
    const status = async (key: string) =>
      (await station.internal('/status', { headers: { authorization: `Bearer ${key}` } })).status;
    expect([await status(ADMIN.key), await status(shop.key)]).toEqual([200, 401]);
    const env = platformEnv(
      station.simulator,
      station.config.redisUrl,
      station.config.redisKeyPrefix,
    );
    station.app.readKeysAgain(() => loadConfig({ ...env, API_KEYS: 'nonsense', PUBLIC_PORT: 'x' }));
    expect(logged(station, 'settings are wrong; the API keys stay as they were')).toMatchObject([
      {
        level: 'error',
        faults: [expect.stringContaining('PUBLIC_PORT'), expect.stringContaining('API_KEYS')],
      },
    ]);
    expect([await status(ADMIN.key), (await person.get('/')).status]).toEqual([200, 200]);
    station.app.readKeysAgain(() => ({
      ...station.config,
      apiKeys: loadConfig({ ...env, API_KEYS: shop.entry }).apiKeys,
    }));
    expect(logged(station, 'API keys read again')).toMatchObject([
      { level: 'info', added: ['shop'], removed: ['ada', 'rita', 'nora', 'hal', 'bob'] },
    ]);
    expect([await status(ADMIN.key), await status(shop.key)]).toEqual([401, 200]);
    expect((await person.get('/')).status).toBe(303);
  });

  it('by SIGHUP, from API_KEYS_FILE and CONFIG_FILE', async () => {
    const station = await open({ startApp: false });
    const folder = mkdtempSync(join(tmpdir(), 'wxkeeper-test-'));
    const [file, json] = [join(folder, 'keys'), join(folder, 'config.json')];
    writeFileSync(file, ADMIN.entry);
    writeFileSync(json, JSON.stringify({ api_keys: [] }));
    const { redisUrl, redisKeyPrefix } = station.config;
    const service = startService({
      ...platformEnv(station.simulator, redisUrl, redisKeyPrefix),
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
