import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, read, type ServiceStatus, stored } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { startRedisOnSmallDisk, WHY_NOT } from '../kit/redis-on-small-disk.ts';
import { createRedisPair } from '../kit/redis-pair.ts';
import {
  becomes,
  newest,
  readiness,
  refusedTicket,
  ticketMirror,
  tokenMints,
} from '../kit/redis-trouble.ts';
import { platformBeforeRefresh } from '../kit/scenario.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

const TAKES_NOTHING = 'Redis takes nothing any more: look at its memory, its disk and its role';
const WAITS = 'Redis is away: a ticket waits in memory until it is back';
const CONNECTED = 'Redis connected';

let platform: TestPlatform;
/** Done in the reverse order. */
let undo: (() => unknown)[];
beforeEach(() => {
  undo = [];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function serverWith(args: string[] = []): Promise<RedisServer> {
  const server = await startRedisServer({ listen: 'port', args });
  undo.push(() => server.stop());
  return server;
}

function adminOf(server: Pick<RedisServer, 'url'>): Redis {
  // Without the check it asks at once, also a Redis that is still loading.
  const admin = new Redis(server.url, { enableReadyCheck: false, retryStrategy: () => 20 });
  admin.on('error', () => undefined);
  undo.push(() => admin.disconnect());
  return admin;
}

async function platformOn(redisUrl: string, create = createTestPlatform): Promise<void> {
  platform = await create({ redisUrl });
  const { redis, simulator, close } = platform;
  undo.push(close);
  redis.on('error', () => undefined);
  simulator.addFault(NO_PUSHES_ON_REQUEST);
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

describe('row 9: Redis is loading its data', () => {
  it('counts as away until it has loaded them, and is not asked for anything', async () => {
    // Two seconds: so long takes each key, and Redis says LOADING to everybody meanwhile.
    const slowly = ['--key-load-delay', '2000', '--loading-process-events-interval-bytes', '1024'];
    const server = await serverWith([...slowly, '--save', '3600 1']);
    await platformOn(server.url);
    await receiveTicket();
    const { redis } = platform;
    await redis.mset(Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`key${i}`, i])));
    await redis.save();
    await server.kill();
    const started = server.start();
    const admin = adminOf(server);
    const saysLoading = async () => expect(await admin.info('persistence')).toContain('loading:1');
    await vi.waitFor(saysLoading, POLLING);
    const ticket = await refusedTicket(platform);
    expect(logged(platform, WAITS)).toMatchObject([{ level: 'warn' }]);
    expect(await readiness(platform)).toBe(503);
    const [value, mints] = [newest(platform), tokenMints(platform)];
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, source: 'memory', value });
    expect(await problems()).toMatchObject([{ code: 'store_unavailable' }]);
    await saysLoading();

    await started;
    await becomes(platform, 200);
    // The clock stands still: the connection itself says that the data are there.
    expect(await ticketMirror(platform)).toBe(ticket);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, source: 'redis', value });
    expect(tokenMints(platform)).toBe(mints);
    // The restart may have lost writes: one more mint settles it.
    expect(await secondsUntil(platform, 60, () => expectHealed(platform))).toBeGreaterThan(20);
    expect(tokenMints(platform)).toBe(mints + 1);
    expect(cries()).toEqual([]);
  });
});

describe('row 10: the master has become a replica and refuses to write', () => {
  it('goes to the new master by itself', async () => {
    const pair = await createRedisPair();
    undo.push(() => pair.close());
    await platformOn(pair.url);
    await receiveTicket();
    const before = await stored(platform, TOKEN);
    await vi.waitFor(async () => expect(await pair.inSync()).toBe(true), POLLING);
    const [old, young] = [adminOf(pair.master), adminOf(pair.replica)];
    await young.replicaof('NO', 'ONE');
    await old.replicaof('127.0.0.1', pair.replica.port ?? 0);
    pair.clients.retarget({ port: pair.replica.port ?? 0 });
    expect(await readiness(platform)).toBe(200);

    const ticket = await refusedTicket(platform);
    expect(logged(platform, WAITS)).toMatchObject([{ level: 'warn' }]);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
    // The clock stands still: the refusal itself makes it look for the master.
    const mirror = () => young.get(platform.keys.ticketMirror(COMPONENT.appid));
    await vi.waitFor(async () => expect(await mirror()).toBe(ticket), POLLING);
    await becomes(platform, 200);
    expect(logged(platform, CONNECTED)).toHaveLength(2);
    platform.redis.disconnect(true);
    await vi.waitFor(() => expect(platform.redis.status).toBe('ready'), POLLING);
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(tokenMints(platform)).toBe(1);
    // The failover may have lost writes: one more mint settles it.
    expect(await secondsUntil(platform, 60, () => expectHealed(platform))).toBeGreaterThan(20);
    expect(tokenMints(platform)).toBe(2);
    expect(cries()).toEqual([]);
    await platform.pass(MINUTE);
    expect(await problems()).toEqual([]);
  });
});

/** The token is due when Redis refuses all writes and answers all reads. */
async function expectReadsToGoOn(problem: string, mend: () => Promise<unknown>): Promise<void> {
  const [value, calls] = [newest(platform), platform.simulator.ledger.calls.length];
  expect(await readiness(platform)).toBe(200);
  const ticket = await refusedTicket(platform);
  expect(logged(platform, WAITS)).toMatchObject([{ level: 'warn', appid: COMPONENT.appid }]);
  const seen = { status: 200, source: 'redis', value };
  expect(await read(platform, TOKEN)).toMatchObject(seen);
  await platform.pass(5 * MINUTE);
  expect(await read(platform, TOKEN)).toMatchObject(seen);
  expect(await platform.redis.get(platform.keys.mirror(TOKEN))).toBe(value);
  const complaints = logged(platform, 'could not look at a credential');
  expect(complaints[0]).toMatchObject({ level: 'error', kind: TOKEN.kind, problem });
  // Nothing is minted that could not be stored.
  expect(platform.simulator.ledger.calls).toHaveLength(calls);
  const status = await platform.internal('/status');
  expect(await status.json()).toMatchObject({
    tickets_waiting_for_redis: [COMPONENT.appid],
    problems: expect.arrayContaining([
      expect.objectContaining({ code: 'redis_refuses_writes' }),
    ]) as unknown,
  });
  expect(logged(platform, TAKES_NOTHING)).toMatchObject([{ level: 'error', problem }]);

  await mend();
  const back = async () => {
    expect(await ticketMirror(platform)).toBe(ticket);
    expect((await stored(platform, TOKEN)).kept.seq).toBe('2');
    await expectHealed(platform);
  };
  expect(await secondsUntil(platform, 60, back)).toBeLessThanOrEqual(31);
  expect(tokenMints(platform)).toBe(2);
  expect(await read(platform, TOKEN)).toMatchObject({
    source: 'redis',
    state: 'fresh',
    value: newest(platform),
    seq: 2,
  });
  // The next patrol tries it out.
  await platform.pass(15_000);
  expect(await problems()).toEqual([]);
  expect(logged(platform, 'Redis takes everything again')).toHaveLength(1);
}

describe('row 11: the memory of Redis is full', () => {
  it('serves, refuses pushes, mints nothing, tells a person, goes on when there is room', async () => {
    const server = await serverWith();
    const admin = adminOf(server);
    await platformOn(server.url, platformBeforeRefresh);
    await admin.config('SET', 'maxmemory', '1');
    await expectReadsToGoOn('OOM', () => admin.config('SET', 'maxmemory', '0'));
  });
});

describe('row 15: the disk of Redis is full, and its file is written every second', () => {
  it('serves, refuses pushes, mints nothing, tells a person, goes on when there is room', async (context) => {
    const redis = await startRedisOnSmallDisk([]);
    if (redis === undefined) return context.skip(WHY_NOT);
    undo.push(redis.stop);
    const admin = adminOf(redis.server);
    await platformOn(redis.server.url, platformBeforeRefresh);
    const becomesFull = async (full: boolean) => {
      const text = `aof_last_write_status:${full ? 'err' : 'ok'}`;
      await vi.waitFor(
        async () => expect(await admin.info('persistence')).toContain(text),
        POLLING,
      );
    };
    await redis.fillDisk();
    // The first write that does not get to the disk is acknowledged all the same.
    await admin.set('key', 'value');
    await becomesFull(true);
    await expectReadsToGoOn('MISCONF', async () => {
      await redis.freeDisk();
      await becomesFull(false);
    });
    expect(await admin.get('key')).toBe('value');
  });
});
