import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { both, type Check } from '../../src/commands/doctor/check.ts';
import { examine } from '../../src/commands/doctor/examine.ts';
import { connectTo, reasonOf, close } from '../../src/commands/doctor/installation.ts';
import { examineRedis, wrongKind } from '../../src/commands/doctor/redis.ts';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { loadConfig, type Config } from '../../src/config/load.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { neededCommands } from '../../src/store/redis/self-test.ts';
import { lines, MACHINE, troubles } from '../kit/doctor.ts';
import { platformEnv } from '../kit/platform.ts';

/** The doctor's lines about Redis, on one that is set up in every wrong way. */

const PASSWORD = 'canary-7c1d';
let server: RedisServer;
let admin: Redis;
beforeAll(async () => {
  server = await startRedisServer({ listen: 'port', appendOnly: true });
  admin = new Redis(server.url);
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await admin.config(
    'SET',
    'maxmemory-policy',
    'noeviction',
    'maxmemory',
    '0',
    'appendonly',
    'yes',
  );
  await admin.flushall();
});

function settings(url = server.url, env: Record<string, string> = {}): Config {
  return loadConfig({ ...platformEnv({ urls: ['http://127.0.0.1:1'] }, url, 'wx:'), ...env });
}

async function look(config = settings()): Promise<Check[]> {
  const installation = await connectTo(config, { env: {}, machine: MACHINE });
  onTestFinished(() => close(installation));
  return examineRedis(installation);
}

/** Logs in as a user who may do what the ACL rules say. */
async function asUser(...rules: string[]): Promise<Config> {
  await admin.acl(
    'SETUSER',
    'limited',
    'reset',
    'on',
    `>${PASSWORD}`,
    '~*',
    '&*',
    '+@all',
    ...rules,
  );
  return settings(server.url.replace('//', `//limited:${PASSWORD}@`));
}

describe('a Redis that is well', () => {
  it('has a line for each thing, and says how many commands were tried', async () => {
    const checks = await look();
    expect(troubles(checks)).toEqual([]);
    expect(checks.map(({ name }) => name.en)).toEqual([
      ...['connection', 'version', 'persistence', 'maxmemory-policy'],
      ...['permissions', 'writes', 'Lua', 'latency', 'sealing keys'],
    ]);
    const { length } = neededCommands(createKeys('wx:'));
    expect(checks[4]?.seen.en).toBe(`all ${length} commands are allowed`);
    expect(await admin.keys('*')).toEqual([]);
  });
});

describe('a Redis that is not', () => {
  it.each([
    [
      'allkeys-lru',
      'failed redis maxmemory-policy redis_may_evict',
      /^Redis may evict credentials: /,
    ],
    ['volatile-ttl', 'warn redis maxmemory-policy -', /^volatile-ttl: what other services read/],
  ])('may throw keys away: %s', async (policy, trouble, says) => {
    await admin.config('SET', 'maxmemory-policy', policy);
    const checks = await look();
    expect(troubles(checks)).toEqual([trouble]);
    expect(lines(checks, 'redis', 'maxmemory')[0]?.seen.en).toMatch(says);
  });

  it('keeps nothing on disk', async () => {
    await admin.config('SET', 'appendonly', 'no');
    expect(troubles(await look())).toEqual(['warn redis persistence -']);
  });

  it('is full', async () => {
    await admin.config('SET', 'maxmemory', '1');
    const checks = await look();
    expect(troubles(checks)).toEqual(['failed redis writes redis_refuses_writes']);
    expect(lines(checks, 'redis', 'writes')[0]?.seen.en).toMatch(/^Redis takes no writes: .*OOM/);
  });

  it('forbids commands: each is named', async () => {
    const checks = await look(await asUser('-zadd', '-publish'));
    expect(troubles(checks)).toEqual(['failed redis permissions redis_forbids']);
    expect(lines(checks, 'redis', 'permissions')[0]?.seen.en).toMatch(/: ZADD, PUBLISH\.$/);
  });

  it('forbids scripts', async () => {
    expect(troubles(await look(await asUser('-eval')))).toEqual([
      'failed redis permissions redis_forbids',
      'failed redis Lua redis_forbids',
    ]);
  });

  it('does not say how it is set up', async () => {
    const checks = await look(await asUser('-info'));
    expect(troubles(checks)).toEqual(['failed redis permissions redis_forbids']);
    expect(lines(checks, 'redis', 'INFO')).toMatchObject([{ state: 'skipped' }]);
  });

  it('holds tokens that other keys have sealed', async () => {
    const key = (byte: number) => `main:${Buffer.alloc(32, byte).toString('base64')}`;
    await admin.hset('wx:seal_keys', 'main', 'sealed:v1:main:nonsense');
    const checks = await look(settings(server.url, { REFRESH_TOKEN_KEYS: key(1) }));
    expect(troubles(checks)).toEqual(['failed redis sealing keys seal_key_wrong']);
    expect(JSON.stringify(checks)).not.toContain(key(1).slice(5));
  });
});

describe('a Redis that cannot be used', () => {
  it.each([
    ['nobody is there', () => 'redis://127.0.0.1:1', /ECONNREFUSED$/, /See that Redis runs/],
    [
      'the password is wrong',
      () => server.url.replace('//', `//default:${PASSWORD}@`),
      /WRONGPASS$/,
      /Check user and password/,
    ],
  ])('%s: the rest is skipped', async (_, url, says, advice) => {
    await admin.config('SET', 'requirepass', 'another');
    onTestFinished(() => void admin.config('SET', 'requirepass', ''));
    const installation = await connectTo(settings(url()), { env: {}, machine: MACHINE });
    onTestFinished(() => close(installation));
    const checks = await examine(installation);
    const [line] = lines(checks, 'redis');
    expect(line).toMatchObject({ state: 'failed', code: 'store_unavailable' });
    expect(line?.seen.en).toMatch(says);
    expect(line?.advice?.en).toMatch(advice);
    const rest = checks.filter(({ group }) => ['tickets', 'whitelist', 'status'].includes(group));
    expect(rest.map(({ state }) => state)).toEqual(['skipped', 'skipped', 'skipped']);
    expect(JSON.stringify(checks)).not.toContain(PASSWORD);
  });

  it.each([
    ['says what no Redis says', (socket: Socket) => socket.end('HTTP/1.1 400 Bad\r\n\r\n')],
    ['says nothing', () => undefined],
  ])('something else listens there and %s', async (_, answers) => {
    const stranger = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => answers(socket));
    });
    stranger.listen(0, '127.0.0.1');
    await once(stranger, 'listening');
    onTestFinished(() => void stranger.close());
    const [line] = await look(
      settings(`redis://127.0.0.1:${(stranger.address() as AddressInfo).port}`),
    );
    expect(line).toMatchObject({ state: 'failed', code: 'store_unavailable' });
    expect(line?.seen.en).toMatch(/: (?:what answers there is no Redis|no answer in time)$/);
    expect(line?.advice?.en).toMatch(/does Redis want TLS \(rediss:\/\/\)/);
  });

  it('is a replica that takes no writes: said once, and not tried', async () => {
    await admin.replicaof('127.0.0.1', '1');
    onTestFinished(async () => {
      await admin.replicaof('NO', 'ONE');
    });
    const checks = await look();
    expect(troubles(checks)).toEqual(['failed redis connection redis_refuses_writes']);
    expect(checks[0]?.advice?.en).toMatch(/name the master/);
  });

  it.each([
    [{ redis_mode: 'cluster', role: 'master' }, 'CLUSTER'],
    [{ redis_mode: 'standalone', role: 'slave', slave_read_only: '1' }, 'READONLY'],
    [{ redis_mode: 'standalone', role: 'master' }, undefined],
    [undefined, undefined],
  ])('is of a kind that no setting helps: %j', (info, wrong) => {
    expect(wrongKind(info)).toBe(wrong);
  });

  it.each([
    [
      "ERR unknown command 'hgetall', with args beginning with: 'canary' ",
      'unknown command hgetall',
    ],
    ['WRONGPASS invalid username-password pair canary', 'WRONGPASS'],
    ['MOVED 1 canary:1', 'MOVED'],
    ['Command timed out', 'timeout'],
    ['canary', 'NOT_REDIS'],
  ])('is named by a word, without the text: %s', (message, word) => {
    expect(reasonOf(new Error(message))).toBe(word);
  });

  it('goes away in the middle: said once, and the report goes on', async () => {
    const installation = await connectTo(settings(), { env: {}, machine: MACHINE });
    close(installation);
    const checks = await examine(installation);
    expect(checks.filter(({ code }) => code === 'store_unavailable')).toHaveLength(1);
    expect(lines(checks, 'callback')).toMatchObject([
      { state: 'skipped', name: both('DNS name', '域名') },
    ]);
  });
});
