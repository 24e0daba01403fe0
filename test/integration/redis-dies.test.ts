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

let station: TestPlatform;
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
  station = await create({ redisUrl: url });
  undo.push(station.close);
  station.redis.on('error', () => undefined);
  station.simulator.addFault(NO_PUSHES_ON_REQUEST);
}

async function receiveTicket(): Promise<void> {
  expect(await station.simulator.pushTicket()).toMatchObject({ accepted: true });
  await station.settle();
  await station.pass(MINUTE);
}

/** Nobody can know what a restart has lost: one more mint settles it. `mints` is all there are then. */
async function expectSettledByOneMint(mints: number): Promise<void> {
  expect(tokenMints(station)).toBe(mints - 1);
  expect(await secondsUntil(station, 60, () => expectHealed(station))).toBeLessThanOrEqual(30);
  expect(tokenMints(station)).toBe(mints);
  expect(await read(station, TOKEN)).toMatchObject({
    status: 200,
    source: 'redis',
    state: 'fresh',
    value: newest(station),
    seq: mints,
  });
  await station.pass(MINUTE);
  expect(tokenMints(station)).toBe(mints);
  expect((await statusOf(station, TOKEN)).problems).toEqual([]);
  expect(station.logs.filter(({ level }) => level === 'error')).toEqual([]);
}

describe('row 3: Redis is away when somebody asks for a credential', () => {
  it('serves from memory to the end of the token and no longer, and mints nothing', async () => {
    const server = await serverOn();
    await platformOn(server);
    await receiveTicket();
    const { value, seq } = await read(station, TOKEN);
    const { simulator } = station;
    const calls = simulator.ledger.calls.length;
    await server.kill();
    await becomes(station, 503);
    // Its life began with the push, a minute ago.
    for (let left = 7_140; left > 10; left -= 1_020) {
      expect(await read(station, TOKEN)).toMatchObject({
        status: 200,
        source: 'memory',
        value,
        seq,
        expires_in: left,
      });
      await station.pass(1_020_000);
    }
    expect(simulator.isLive(TOKEN.kind, value ?? '')).toBe(false);
    expect(await read(station, TOKEN)).toMatchObject({
      status: 503,
      retryAfter: 2,
      error: { code: 'store_unavailable' },
    });
    // One is handed out once, so there is none in memory.
    expect(await read(station, CODE)).toMatchObject({ status: 503 });
    expect(simulator.ledger.calls).toHaveLength(calls);
    expect(logged(station, AWAY)).toMatchObject([{ level: 'warn' }]);
    expect(logged(station, AWAY_LONG)).toMatchObject([{ level: 'error' }]);
    const status = await station.internal('/status');
    expect(await status.json()).toMatchObject({ problems: [{ code: 'store_unavailable' }] });

    await server.start();
    await becomes(station, 200);
    const renewed = async () => expect((await stored(station, TOKEN)).kept.seq).toBe('2');
    // As after every restart, nobody mints for 25 s: the last writes might be gone.
    expect(await secondsUntil(station, 60, renewed)).toBeLessThanOrEqual(30);
    await expectHealed(station);
    expect(await read(station, TOKEN)).toMatchObject({ source: 'redis', value: newest(station) });
    expect(tokenMints(station)).toBe(2);
  });
});

describe('row 16: the disk of Redis is full, and its file is written with every command', () => {
  it('Redis ends; what waits is stored and what it lost is restored when it is back', async (context) => {
    const redis = await startRedisOnSmallDisk(['--appendfsync', 'always']);
    if (redis === undefined) return context.skip(WHY_NOT);
    undo.push(redis.stop);
    await platformOn(redis.server);
    await receiveTicket();
    const before = await stored(station, TOKEN);
    await redis.fillDisk();
    const ticket = await refusedTicket(station);
    // It says in its own log why, and ends.
    const ask = () => process.kill(redis.server.pid(), 0);
    await vi.waitFor(() => expect(ask).toThrow('ESRCH'), POLLING);
    await becomes(station, 503);
    expect(await read(station, TOKEN)).toMatchObject({ source: 'memory', value: newest(station) });
    const noticed = () => expect(logged(station, AWAY)).toMatchObject([{ level: 'warn' }]);
    await vi.waitFor(noticed, POLLING);
    await redis.server.start();
    await becomes(station, 200);
    expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    expect(await ticketMirror(station)).toBe(ticket);
    expect(logged(station, WAITS)).toMatchObject([{ level: 'warn' }]);
    expect(logged(station, RESTORED)).toEqual([]);
    await expectSettledByOneMint(2);
  });
});

describe('row 17: Redis is killed with kill -9, and its file is written every second', () => {
  it('loses nothing: the kernel has what it was given', async () => {
    const server = await serverOn();
    await platformOn(server);
    await receiveTicket();
    const push = newTicketPush(station);
    expect(await post(push)).toMatchObject({ status: 200 });
    const before = await stored(station, TOKEN);
    await server.kill('SIGKILL');
    await becomes(station, 503);
    await server.start();
    await becomes(station, 200);
    expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    expect(await ticketMirror(station)).toBe(push.ticket);
    expect(logged(station, RESTORED)).toEqual([]);
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
    await station.pass(2 * MINUTE);
    const before = await stored(station, TOKEN);
    expect(before.kept).toMatchObject({ seq: '2', value: newest(station) });
    await server.kill('SIGKILL');
    await becomes(station, 503);
    // In the middle of a command, before the commit.
    await truncate(join(folder, name), size + 7);
    await server.start();
    await becomes(station, 200);
    expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    expect(logged(station, RESTORED)).toMatchObject([{ level: 'warn', ...TOKEN, seq: 2 }]);
    await expectSettledByOneMint(3);
  });
});

describe('row 20: Redis has forgotten the scripts', () => {
  it('are sent again with the next command, whatever it is', async () => {
    await platformOn(await serverOn());
    const { redis, simulator } = station;
    const forget = () => redis.script('FLUSH');
    await forget();
    await receiveTicket();
    const steps: (() => Promise<unknown>)[] = [
      async () => expect(await simulator.pushTicket()).toMatchObject({ accepted: true }),
      async () => expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1 }),
      async () => expect(await read(station, CODE)).toMatchObject({ status: 200, seq: 1 }),
      async () => expect(await statusOf(station, TOKEN)).toMatchObject({ problems: [] }),
      async () => station.pass(MINUTE),
    ];
    for (const step of steps) {
      await forget();
      await step();
      await station.settle();
    }
    const [, count] = /errorstat_NOSCRIPT:count=(\d+)/.exec(await redis.info('errorstats')) ?? [];
    expect(Number(count)).toBeGreaterThanOrEqual(steps.length);
    expect(station.logs.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    expect(tokenMints(station)).toBe(1);
    await expectHealed(station);
  });
});
