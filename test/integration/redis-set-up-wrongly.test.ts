import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { TOKEN } from '../kit/liveness.ts';
import { read, type ServiceStatus } from '../kit/observe.ts';
import {
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  becomes,
  newest,
  newTicketPush,
  post,
  readiness,
  ticketMirror,
} from '../kit/redis-trouble.ts';
import { POLLING } from '../kit/waiting.ts';

const EVICTS = /^Redis may evict any key when its memory is full/;
const FORBIDS = 'Redis forbids commands that wxkeeper needs; change the ACL of its user';
const PASSWORD = 'canary-4d1e';

let server: RedisServer;
let admin: Redis;
let platform: TestPlatform;
beforeEach(async () => {
  server = await startRedisServer({ listen: 'port' });
  admin = new Redis(server.url);
});
afterEach(async () => {
  await platform.close();
  admin.disconnect();
  await server.stop();
});

async function startPlatform(redisUrl = server.url): Promise<void> {
  platform = await createTestPlatform({ redisUrl });
  platform.redis.on('error', () => undefined);
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
}

async function receiveTicket(): Promise<void> {
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await platform.settle();
  await platform.pass(MINUTE);
}

async function problems(): Promise<ServiceStatus['components'][number]['problems']> {
  const answer = await platform.internal('/status');
  expect(answer.status).toBe(200);
  return ((await answer.json()) as ServiceStatus['components'][number]).problems;
}

function cries() {
  return platform.logs.filter(({ level }) => level === 'error');
}

describe('row 12: Redis may throw away any key when its memory is full', () => {
  it.each(['allkeys-lru', 'allkeys-lfu', 'allkeys-random'])(
    'by %s: a person is told at the start; it serves all the same',
    async (policy) => {
      await admin.config('SET', 'maxmemory-policy', policy);
      await startPlatform();
      expect(cries()).toHaveLength(1);
      expect(cries()[0]?.message).toMatch(EVICTS);
      expect(await problems()).toMatchObject([{ code: 'no_ticket' }, { code: 'redis_may_evict' }]);
      await receiveTicket();
      expect(await readiness(platform)).toBe(200);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
      expect(await problems()).toMatchObject([{ code: 'redis_may_evict' }]);

      await admin.config('SET', 'maxmemory-policy', 'noeviction');
      // It is looked at again with each connection.
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await vi.waitFor(async () => expect(await problems()).toEqual([]), POLLING);
      expect(cries()).toHaveLength(1);
    },
  );

  it.each(['noeviction', 'volatile-lru', 'volatile-ttl'])(
    'by %s: it may not, records have no time to live',
    async (policy) => {
      await admin.config('SET', 'maxmemory-policy', policy);
      await startPlatform();
      await receiveTicket();
      expect(await problems()).toEqual([]);
      expect(cries()).toEqual([]);
      expect(await platform.redis.ttl(platform.keys.record(TOKEN))).toBe(-1);
    },
  );
});

describe('row 14: the ACL of Redis forbids what is needed', () => {
  const READY = 200;
  const allow = (...rules: string[]) =>
    admin.acl(
      'SETUSER',
      'keeper',
      'on',
      `>${PASSWORD}`,
      'resetkeys',
      '~*',
      '&*',
      '+@all',
      ...rules,
    );

  it.each([
    { what: 'a command', rules: ['-xadd'], forbidden: ['XADD'], push: 503 },
    { what: 'scripts', rules: ['-@scripting'], forbidden: ['EVAL', 'EVALSHA'], push: 503 },
    { what: 'the clock of scripts', rules: ['-time'], forbidden: ['TIME'], push: 200 },
    { what: 'what tells of a failover', rules: ['-info'], forbidden: ['INFO'], push: 200 },
    {
      what: 'what tells a record from something else',
      rules: ['-type'],
      forbidden: ['TYPE'],
      push: 200,
    },
    { what: 'channels', rules: ['resetchannels'], forbidden: ['PUBLISH'], push: 200 },
    {
      what: 'our keys',
      rules: ['resetkeys', '~others:*'],
      forbidden: ['HSET', 'GET', 'SET', 'DEL'],
      push: 503,
    },
  ])('$what: not ready, a person is told its name', async ({ rules, forbidden, push }) => {
    await allow(...rules);
    await startPlatform(server.url.replace('://', `://keeper:${PASSWORD}@`));
    expect(await readiness(platform)).toBe(503);
    const answer = await platform.internal('/readyz');
    expect(await answer.json()).toEqual({ status: 'not_ready', reason: 'store_forbids' });
    const [cry] = cries();
    expect(cry).toMatchObject({ message: FORBIDS });
    expect(cry?.forbidden).toEqual(expect.arrayContaining(forbidden));
    const [problem] = await problems();
    // Where not even records can be read, that is what it says.
    expect(['redis_forbids', 'store_unavailable']).toContain(problem?.code);
    const ticket = newTicketPush(platform);
    expect((await post(ticket)).status).toBe(push);
    await platform.settle();

    await allow();
    // It is tried out again with each connection.
    await admin.call('CLIENT', 'KILL', 'USER', 'keeper');
    await becomes(platform, READY);
    await vi.waitFor(async () => expect(await ticketMirror(platform)).toBe(ticket.ticket), POLLING);
    await platform.pass(MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
    expect(await problems()).toEqual([]);
    expect(JSON.stringify(platform.logs)).not.toContain(PASSWORD);
  });
});
