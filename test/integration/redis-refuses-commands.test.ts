import { readdirSync, readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { connectTo, close, SILENT } from '../../src/commands/doctor/installation.ts';
import { examineRedis } from '../../src/commands/doctor/redis.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { createLog } from '../../src/lib/log.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { healthOf } from '../../src/store/redis/health.ts';
import { connectRedis, whenReady } from '../../src/store/redis/connection.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { neededCommands, testStore } from '../../src/store/redis/self-test.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import type { Store } from '../../src/store/redis/store.ts';
import { createManualClock } from '../kit/clock.ts';
import { MACHINE } from '../kit/doctor.ts';
import { TOKEN } from '../kit/liveness.ts';
import { read } from '../kit/observe.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { becomes, newTicketPush, post, readiness } from '../kit/redis-trouble.ts';
import { POLLING } from '../kit/waiting.ts';

/** What Redis refuses is seen before it hurts, and said in Redis's own words. */

const STORE = new URL('../../src/store/', import.meta.url);
/** Each script's name and text. */
const SCRIPTS = new Map(
  readdirSync(STORE, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.lua'))
    .map((path) => [path, readFileSync(new URL(path, STORE), 'utf8')]),
);

let undo: (() => unknown)[];
beforeEach(() => {
  undo = [];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function serverWith(...args: string[]): Promise<RedisServer> {
  const server = await startRedisServer({ listen: 'port', args });
  undo.push(() => server.stop());
  return server;
}

function adminOf(server: RedisServer): Redis {
  const admin = new Redis(server.url);
  undo.push(() => admin.disconnect());
  return admin;
}

async function platformOn(redisUrl: string): Promise<TestPlatform> {
  const platform = await createTestPlatform({ redisUrl });
  platform.redis.on('error', () => undefined);
  undo.push(() => platform.close());
  return platform;
}

interface Problem {
  code: string;
  component: string | null;
  message: string;
  advice: string;
}

async function problems(platform: TestPlatform): Promise<Problem[]> {
  const answer = await platform.internal('/status');
  return ((await answer.json()) as { problems: Problem[] }).problems;
}

async function doctor(platform: TestPlatform): Promise<string> {
  const installation = await connectTo(platform.config, { env: {}, machine: MACHINE });
  onTestFinished(() => close(installation));
  const checks = await examineRedis(installation);
  return JSON.stringify(checks.filter(({ state }) => state === 'failed'));
}

async function notReady(platform: TestPlatform): Promise<string | undefined> {
  const answer = await platform.internal('/readyz');
  return ((await answer.json()) as { reason?: string }).reason;
}

describe('row 131: a command that is renamed away', () => {
  it.each(['EVAL', 'XADD', 'HSET', 'SMISMEMBER'])('%s: not ready, and all say so', async (name) => {
    const server = await serverWith('--rename-command', name, '');
    const platform = await platformOn(server.url);
    // The test's own client does nothing of it.
    expect(await readiness(platform)).toBe(503);
    expect(await notReady(platform)).toBe('store_refuses');
    const said = JSON.stringify(await problems(platform));
    const words = new RegExp(`${name}[^"]*unknown command|unknown command '${name}'`, 'i');
    expect(said).toMatch(words);
    const log = platform.logs.find(
      ({ message }) => message === 'Redis refuses what wxkeeper needs',
    );
    expect(log?.refused).toContain(name);
    expect(log?.redis_says).toMatch(/^ERR unknown command/);
    expect(await doctor(platform)).toMatch(words);
    if (name === 'SMISMEMBER') return;
    expect((await post(newTicketPush(platform))).status).toBe(503);
  });
});

describe('row 131: a key of ours that holds something else', () => {
  it.each([
    {
      what: 'the event stream',
      key: (s: TestPlatform) => s.keys.events(COMPONENT.appid),
      ready: 503,
    },
    { what: 'a counter', key: (s: TestPlatform) => s.keys.pushStats(COMPONENT.appid), ready: 200 },
    {
      what: 'the list of authorizers',
      key: (s: TestPlatform) => s.keys.authorizers(COMPONENT.appid),
      ready: 200,
    },
    { what: 'the codes', key: (s: TestPlatform) => s.keys.exchanges(COMPONENT.appid), ready: 503 },
    { what: 'the jobs', key: (s: TestPlatform) => s.keys.jobs, ready: 200 },
  ])('$what: a person is told which, until it is gone', async ({ key, ready }) => {
    const server = await serverWith();
    const platform = await platformOn(server.url);
    await platform.redis.del(key(platform));
    await platform.redis.set(key(platform), 'spoiled');
    await platform.pass(11 * MINUTE);
    expect(await readiness(platform)).toBe(ready);
    const spoiled = (await problems(platform)).find(({ code }) => code === 'redis_key_spoiled');
    expect(spoiled?.message).toContain(key(platform));
    expect(spoiled?.message).toContain('WRONGTYPE');
    expect(await doctor(platform)).toContain(ready === 503 ? key(platform) : '');

    await platform.redis.del(key(platform));
    await platform.pass(MINUTE);
    expect(await readiness(platform)).toBe(200);
    expect((await problems(platform)).map(({ code }) => code)).not.toContain('redis_key_spoiled');
  });

  it('while it works: the first push that is refused is enough, no minute has to pass', async () => {
    const server = await serverWith();
    const platform = await platformOn(server.url);
    const key = platform.keys.events(COMPONENT.appid);
    await platform.redis.set(key, 'spoiled');
    expect(await readiness(platform)).toBe(200);
    expect((await post(newTicketPush(platform))).status).toBe(503);
    await becomes(platform, 503);
    expect(JSON.stringify(await problems(platform))).toContain(key);
  });
});

describe('row 131: what is refused on real keys alone', () => {
  it('is remembered with its operation and its key, until it succeeds', async () => {
    const server = await serverWith();
    const admin = adminOf(server);
    const user = (...rules: string[]) =>
      admin.acl('SETUSER', 'keeper', 'on', '>canary-71', 'resetkeys', '&*', '+@all', ...rules);
    await user('~*');
    const platform = await platformOn(server.url.replace('://', '://keeper:canary-71@'));
    const events = platform.keys.events(COMPONENT.appid);
    expect(await readiness(platform)).toBe(200);
    // All keys but the stream's.
    const prefix = platform.config.redisKeyPrefix;
    const own = ['record:*', 'component*', 'history:*', 'seen:*', 'self_test:*', 'push_stats:*'];
    await user(...[...own, 'jobs', 'replicas'].map((one) => `~${prefix}${one}`));
    expect((await post(newTicketPush(platform))).status).toBe(503);
    await becomes(platform, 503);
    const said = JSON.stringify(await problems(platform));
    expect(said).toMatch(/accept-ticket|TYPE/);
    expect(said).toMatch(/NOPERM/);
    await user('~*');
    await platform.pass(MINUTE);
    await becomes(platform, 200);
    expect((await post(newTicketPush(platform))).status).toBe(200);
    expect(await admin.exists(events)).toBe(1);
  });
});

async function storeOn(url: string): Promise<Store> {
  const redis = connectRedis({ url, protocol: 3 }, SILENT);
  undo.push(() => redis.disconnect());
  expect(await whenReady(redis, POLLING.timeout)).toBe(true);
  const time = createStoreTime(createManualClock());
  return { redis, keys: createKeys('wx:'), time, encryption: createTokenEncryption([]) };
}

describe('row 131: the self-test', () => {
  it('runs every script that there is, and leaves nothing', async () => {
    const server = await serverWith();
    const admin = adminOf(server);
    const store = await storeOn(server.url);
    // A server that knows none by its hash.
    const byText = vi.spyOn(store.redis, 'eval');
    const result = await testStore(store, [COMPONENT.appid]);
    expect(result).toMatchObject({ forbidden: [], refused: [], spoiled: [], refuses: undefined });
    // These are put in front of others.
    const shared = ['credentials/record.lua', 'deliveries/put.lua', 'tickets/push.lua'];
    const names = [...SCRIPTS.keys()].filter((name) => !shared.includes(name));
    expect(names.length).toBeGreaterThan(25);
    const texts = byText.mock.calls.map(([text]) => String(text));
    const missing = names.filter((name) => {
      return !texts.some((one) => one.endsWith(SCRIPTS.get(name) ?? '?'));
    });
    expect(missing).toEqual([]);
    expect(await admin.keys('*')).toEqual([]);
  });

  it('tries every command that scripts use', () => {
    const tried = new Set(neededCommands(createKeys('wx:')).map(([name]) => name));
    const used = [...SCRIPTS.values()].flatMap((text) =>
      [...text.matchAll(/redis\.p?call\('([A-Z]+)'/g)].map(([, command]) => command ?? ''),
    );
    expect(used.length).toBeGreaterThan(50);
    expect([...new Set(used)].filter((command) => !tried.has(command))).toEqual([]);
  });

  it('two at once do not meet', async () => {
    const server = await serverWith();
    const store = await storeOn(server.url);
    const both = await Promise.all(Array.from({ length: 5 }, () => testStore(store)));
    for (const one of both) expect(one).toMatchObject({ forbidden: [], refused: [] });
  });
});

describe('row 132: EVALSHA is refused in other words than NOSCRIPT', () => {
  it.each([
    { what: 'it is renamed away', args: ['--rename-command', 'EVALSHA', ''], rules: [] },
    { what: 'the ACL forbids it alone', args: [], rules: ['-evalsha'] },
  ])('$what: scripts go by their text, and everything works', async ({ args, rules }) => {
    const server = await serverWith(...args);
    const admin = adminOf(server);
    await admin.acl('SETUSER', 'keeper', 'on', '>pw', '~*', '&*', '+@all', ...rules);
    const platform = await platformOn(server.url.replace('://', '://keeper:pw@'));
    expect(await readiness(platform)).toBe(200);
    expect((await post(newTicketPush(platform))).status).toBe(200);
    await platform.settle();
    await platform.pass(MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, source: 'redis' });
    expect((await problems(platform)).map(({ code }) => code)).toEqual([]);
    // It is not asked for again on this connection.
    const refusals = async () => {
      const stats = await admin.info('commandstats');
      return /cmdstat_evalsha:\S*rejected_calls=(\d+)/.exec(stats)?.[1];
    };
    const before = await refusals();
    expect((await post(newTicketPush(platform))).status).toBe(200);
    expect(await refusals()).toBe(before);
  });
});

describe('row 131: what was refused once', () => {
  it('is forgotten after ten minutes, also when the clock was set back meanwhile', async () => {
    const server = await serverWith();
    const platform = await platformOn(server.url);
    const clock = createManualClock();
    const redis = connectRedis(
      { url: server.url, protocol: 3 },
      createLog({ level: 'error' }),
      ...(['commands', clock] as const),
    );
    undo.push(() => redis.disconnect());
    await whenReady(redis, 5_000);
    const key = platform.keys.exchanges(COMPONENT.appid);
    await redis.set(key, 'text');
    await expect(redis.hgetall(key)).rejects.toThrow('WRONGTYPE');
    const refused = () =>
      healthOf(redis)
        ?.refusals()
        .map(({ operation }) => operation);
    clock.jumpWallClock(-24 * 60 * MINUTE);
    await clock.advance(9 * MINUTE);
    expect(refused()).toEqual(['HGETALL']);
    await clock.advance(2 * MINUTE);
    expect(refused()).toEqual([]);
  });
});

describe('row 141: a Redis that is connected and does not answer', () => {
  it.each(['ALL', 'WRITE'] as const)(
    'CLIENT PAUSE %s: not ready within a second, and ready when it is over',
    async (mode) => {
      const server = await serverWith();
      const admin = adminOf(server);
      const platform = await platformOn(server.url);
      expect(await readiness(platform)).toBe(200);
      // What pauses all holds up the command that would end it, too.
      await admin.call('CLIENT', 'PAUSE', mode === 'ALL' ? 4_000 : 60_000, mode);
      const begun = performance.now();
      const answer = await platform.internal('/readyz');
      expect(await answer.json()).toEqual({ status: 'not_ready', reason: 'store_unavailable' });
      expect(performance.now() - begun).toBeLessThan(1_500);
      if (mode === 'WRITE') await admin.client('UNPAUSE');
      await becomes(platform, 200);
    },
  );
});
