import { mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { startRedisOnSmallDisk, WHY_NOT } from '../kit/redis-on-small-disk.ts';
import {
  becomes,
  newest,
  newTicketPush,
  post,
  refusedTicket,
  ticketMirror,
  tokenMints,
} from '../kit/redis-trouble.ts';
import { platformBeforeRefresh } from '../kit/scenario.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

const WAITS = 'Redis is away: a ticket waits in memory until it is back';
const AWAY = 'Redis connection failed, reconnecting';
const AWAY_LONG = 'Redis has been away for 15 minutes: nothing is stored and nothing is refreshed';
const RESTORED = 'Redis had lost a credential; restored from memory';

let platform: TestPlatform;
/** Done in the reverse order. */
let undo: (() => unknown)[];
beforeEach(() => {
  undo = [];
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
});

async function serverOn(dir?: string): Promise<RedisServer> {
  const server = await startRedisServer({ appendOnly: true, ...(dir !== undefined && { dir }) });
  undo.push(() => server.stop());
  return server;
}

async function platformOn(
  { url }: Pick<RedisServer, 'url'>,
  create = createTestPlatform,
): Promise<void> {
  platform = await create({ redisUrl: url });
  undo.push(platform.close);
  platform.redis.on('error', () => undefined);
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
}

async function receiveTicket(): Promise<void> {
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await platform.settle();
  await platform.pass(MINUTE);
}

/** Nobody can know what a restart has lost: one more mint settles it. `mints` is all there are then. */
async function expectSettledByOneMint(mints: number): Promise<void> {
  expect(tokenMints(platform)).toBe(mints - 1);
  expect(await secondsUntil(platform, 60, () => expectHealed(platform))).toBeLessThanOrEqual(30);
  expect(tokenMints(platform)).toBe(mints);
  expect(await read(platform, TOKEN)).toMatchObject({
    status: 200,
    source: 'redis',
    state: 'fresh',
    value: newest(platform),
    seq: mints,
  });
  await platform.pass(MINUTE);
  expect(tokenMints(platform)).toBe(mints);
  expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
  expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
}

describe('row 3: Redis is away when somebody asks for a credential', () => {
  it('serves from memory to the end of the token and no longer, and mints nothing', async () => {
    const server = await serverOn();
    await platformOn(server);
    await receiveTicket();
    const { value, seq } = await read(platform, TOKEN);
    const { simulator } = platform;
    const calls = simulator.ledger.calls.length;
    await server.kill();
    await becomes(platform, 503);
    // Its life began with the push, a minute ago.
    for (let left = 7_140; left > 10; left -= 1_020) {
      expect(await read(platform, TOKEN)).toMatchObject({
        status: 200,
        source: 'memory',
        value,
        seq,
        expires_in: left,
      });
      await platform.pass(1_020_000);
    }
    expect(simulator.isLive(TOKEN.kind, value ?? '')).toBe(false);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 503,
      retryAfter: 2,
      error: { code: 'store_unavailable' },
    });
    // One is handed out once, so there is none in memory.
    expect(await read(platform, CODE)).toMatchObject({ status: 503 });
    expect(simulator.ledger.calls).toHaveLength(calls);
    expect(logged(platform, AWAY)).toMatchObject([{ level: 'warn' }]);
    expect(logged(platform, AWAY_LONG)).toMatchObject([{ level: 'error' }]);
    const status = await platform.internal('/status');
    expect(await status.json()).toMatchObject({ problems: [{ code: 'store_unavailable' }] });

    await server.start();
    await becomes(platform, 200);
    const renewed = async () => expect((await stored(platform, TOKEN)).kept.seq).toBe('2');
    // As after every restart, nobody mints for 25 s: the last writes might be gone.
    expect(await secondsUntil(platform, 60, renewed)).toBeLessThanOrEqual(30);
    await expectHealed(platform);
    expect(await read(platform, TOKEN)).toMatchObject({ source: 'redis', value: newest(platform) });
    expect(tokenMints(platform)).toBe(2);
  });
});

describe('row 16: the disk of Redis is full, and its file is written with every command', () => {
  it('Redis ends; what waits is stored and what it lost is restored when it is back', async (context) => {
    const redis = await startRedisOnSmallDisk(['--appendfsync', 'always']);
    if (redis === undefined) return context.skip(WHY_NOT);
    undo.push(redis.stop);
    await platformOn(redis.server);
    await receiveTicket();
    const before = await stored(platform, TOKEN);
    await redis.fillDisk();
    const ticket = await refusedTicket(platform);
    // It says in its own log why, and ends.
    const ask = () => process.kill(redis.server.pid(), 0);
    await vi.waitFor(() => expect(ask).toThrow('ESRCH'), POLLING);
    await becomes(platform, 503);
    expect(await read(platform, TOKEN)).toMatchObject({
      source: 'memory',
      value: newest(platform),
    });
    const noticed = () => expect(logged(platform, AWAY)).toMatchObject([{ level: 'warn' }]);
    await vi.waitFor(noticed, POLLING);
    await redis.server.start();
    await becomes(platform, 200);
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(await ticketMirror(platform)).toBe(ticket);
    expect(logged(platform, WAITS)).toMatchObject([{ level: 'warn' }]);
    expect(logged(platform, RESTORED)).toEqual([]);
    await expectSettledByOneMint(2);
  });
});

describe('row 17: Redis is killed with kill -9, and its file is written every second', () => {
  it('loses nothing: the kernel has what it was given', async () => {
    const server = await serverOn();
    await platformOn(server);
    await receiveTicket();
    const push = newTicketPush(platform);
    expect(await post(push)).toMatchObject({ status: 200 });
    const before = await stored(platform, TOKEN);
    await server.kill('SIGKILL');
    await becomes(platform, 503);
    await server.start();
    await becomes(platform, 200);
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(await ticketMirror(platform)).toBe(push.ticket);
    expect(logged(platform, RESTORED)).toEqual([]);
    await expectSettledByOneMint(2);
  });

  it('loses the last writes with the power: the newest token is restored from memory', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'wxkeeper-torn-'));
    undo.push(() => rm(dir, { recursive: true, force: true }));
    const server = await serverOn(dir);
    await platformOn(server, platformBeforeRefresh);
    const folder = join(dir, 'appendonlydir');
    const name = (await readdir(folder)).find((one) => one.endsWith('.incr.aof')) ?? '';
    const { size } = await stat(join(folder, name));
    await platform.pass(2 * MINUTE);
    const before = await stored(platform, TOKEN);
    expect(before.kept).toMatchObject({ seq: '2', value: newest(platform) });
    await server.kill('SIGKILL');
    await becomes(platform, 503);
    // In the middle of a command, before the commit.
    await truncate(join(folder, name), size + 7);
    await server.start();
    await becomes(platform, 200);
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(logged(platform, RESTORED)).toMatchObject([{ level: 'warn', ...TOKEN, seq: 2 }]);
    await expectSettledByOneMint(3);
  });
});

describe('row 20: Redis has forgotten the scripts', () => {
  it('are sent again with the next command, whatever it is', async () => {
    await platformOn(await serverOn());
    const { redis, simulator } = platform;
    const forget = () => redis.script('FLUSH');
    await forget();
    await receiveTicket();
    const steps: (() => Promise<unknown>)[] = [
      async () => expect(await simulator.pushTicket()).toMatchObject({ accepted: true }),
      async () => expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 }),
      async () => expect(await read(platform, CODE)).toMatchObject({ status: 200, seq: 1 }),
      async () => expect(await statusOf(platform, TOKEN)).toMatchObject({ problems: [] }),
      async () => platform.pass(MINUTE),
    ];
    for (const step of steps) {
      await forget();
      await step();
      await platform.settle();
    }
    const [, count] = /errorstat_NOSCRIPT:count=(\d+)/.exec(await redis.info('errorstats')) ?? [];
    expect(Number(count)).toBeGreaterThanOrEqual(steps.length);
    expect(platform.logs.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    expect(tokenMints(platform)).toBe(1);
    await expectHealed(platform);
  });
});
