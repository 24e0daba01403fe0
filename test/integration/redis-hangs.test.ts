import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { createDoomedReplica } from '../kit/doomed-replica.ts';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { logged, read, stored } from '../kit/observe.ts';
import {
  COMPONENT,
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
  refusedTicket,
  ticketMirror,
  tokenMints,
} from '../kit/redis-trouble.ts';
import { platformBeforeRefresh, REFRESHED } from '../kit/scenario.ts';
import { createTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

/** Real milliseconds that a command may wait for Redis, and some for a busy machine. */
const NO_ANSWER_MS = 1_000 + 500;
const WAITS = 'Redis is away: a ticket waits in memory until it is back';
const NOT_YET = 'a minted value could not be stored yet';

let server: RedisServer;
let proxy: TcpProxy;
let platform: TestPlatform;
beforeEach(async () => {
  server = await startRedisServer();
  proxy = await createTcpProxy({ socketPath: server.socketPath ?? '' });
});
afterEach(async () => {
  await platform.close();
  await proxy.close();
  await server.stop();
});

async function stationBehindProxy(): Promise<void> {
  platform = await createTestPlatform({ redisUrl: proxy.url('redis') });
  platform.redis.on('error', () => undefined);
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
  await platform.settle();
  await platform.pass(MINUTE);
}

/** The first script whose arguments hold `mark` is executed, and its answer is lost. */
function losingReplyTo(redis: Redis, mark: string): Redis {
  let isLost = false;
  return new Proxy(redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (name === 'evalsha' && !isLost && args.some((one) => String(one).includes(mark))) {
          isLost = true;
          proxy.dropNextReply();
        }
        return value.apply(target, args) as unknown;
      };
    },
  });
}

/** What it took, in real milliseconds. */
async function timed<T>(work: Promise<T>): Promise<{ result: T; tookMs: number }> {
  const begun = performance.now();
  const result = await work;
  return { result, tookMs: performance.now() - begun };
}

describe('row 2: Redis takes connections and says nothing', () => {
  /** Everybody asks at once, so that the test waits once. Returns the ticket that was refused. */
  async function askEverything(): Promise<string> {
    const asked = await Promise.all([
      timed(refusedTicket(platform)),
      timed(read(platform, TOKEN)),
      timed(platform.internal('/status')),
    ]);
    for (const { tookMs } of asked) expect(tookMs).toBeLessThan(NO_ANSWER_MS);
    const [{ result: ticket }, { result: seen }, { result: answer }] = asked;
    expect(seen).toMatchObject({
      status: 200,
      source: 'memory',
      value: newest(platform),
      seq: 1,
    });
    expect(await answer.json()).toMatchObject({
      verdict: 'attention',
      redis: { state: 'unavailable' },
      problems: [{ code: 'store_unavailable' }],
    });
    expect(logged(platform, WAITS)).toMatchObject([{ level: 'warn', appid: COMPONENT.appid }]);
    return ticket;
  }
  async function expectAllIsWell(ticket: string): Promise<void> {
    await becomes(platform, 200);
    // The clock stands still: the connection itself says that Redis is back.
    await vi.waitFor(async () => expect(await ticketMirror(platform)).toBe(ticket), POLLING);
    expect(await read(platform, TOKEN)).toMatchObject({ source: 'redis', seq: 1 });
    await platform.pass(MINUTE);
    await expectHealed(platform);
    expect(tokenMints(platform)).toBe(1);
    expect((await platform.internal('/status')).status).toBe(200);
  }

  it('because its process stands still: nobody waits for it, a person hears of it', async () => {
    await stationBehindProxy();
    process.kill(server.pid(), 'SIGSTOP');
    try {
      const ticket = await askEverything();
      await becomes(platform, 503);
      expect(await (await platform.internal('/status')).json()).toMatchObject({
        tickets_waiting_for_redis: [COMPONENT.appid],
      });
      // Not ready is said before the connection is given up.
      const lost = () => logged(platform, 'Redis connection failed, reconnecting');
      await expect.poll(lost, { timeout: 10_000 }).toMatchObject([{ level: 'warn' }]);
      await platform.pass(16 * MINUTE);
      const cries = () =>
        platform.logs.filter(({ message }) => message.startsWith('Redis has been away for 15'));
      await vi.waitFor(async () => {
        // Ends an attempt to connect, which else takes three seconds; the first may fail only now.
        proxy.cut();
        await platform.pass(MINUTE);
        expect(cries()).toMatchObject([{ level: 'error' }]);
      }, POLLING);
      process.kill(server.pid(), 'SIGCONT');
      await expectAllIsWell(ticket);
    } finally {
      process.kill(server.pid(), 'SIGCONT');
    }
  });

  it('because the network swallows every byte: nobody waits for it', async () => {
    await stationBehindProxy();
    proxy.blackhole();
    const ticket = await askEverything();
    await proxy.heal();
    await expectAllIsWell(ticket);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

describe('row 18: a command that was given up takes effect later', () => {
  it('a commit that comes after a newer one changes nothing that anybody reads', async () => {
    platform = await platformBeforeRefresh({ redisUrl: server.url });
    const redis = new Redis(proxy.url('redis'), { commandTimeout: 100, maxRetriesPerRequest: 1 });
    redis.on('error', () => undefined);
    const slow = { ...platform, redis, store: { ...platform.store, redis } };
    const ghost = createDoomedReplica(slow, 'after answer');
    void ghost.keeper.ensureFresh(TOKEN, 'cron');
    await ghost.stopped;
    proxy.pause('toServer');
    ghost.wake();
    const gaveUp = () => expect(ghost.logs.map(({ message }) => message)).toContain(NOT_YET);
    await vi.waitFor(gaveUp, POLLING);
    expect(proxy.counters().held.toServer).toBeGreaterThan(0);
    // It goes on trying to store what it has, and begins nothing new.
    void ghost.keeper.stop();

    const renewed = async () => expect((await stored(platform, TOKEN)).kept.seq).toBe('2');
    expect(await secondsUntil(platform, 75, renewed)).toBeGreaterThan(20);
    const before = await stored(platform, TOKEN);
    expect(before.kept).toMatchObject({ value: newest(platform), mirror: newest(platform) });
    proxy.resume();
    const landed = async () => expect((await stored(platform, TOKEN)).suspect).toBe(true);
    await vi.waitFor(landed, POLLING);
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    const { value } = before.kept;
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value, seq: 2 });

    // Nobody can tell which of the two was minted last: one more settles it, and no further one.
    expect(await secondsUntil(platform, 60, () => expectHealed(platform))).toBeLessThanOrEqual(30);
    // What the read has set off is stored a moment before it is logged.
    await platform.settle();
    expect(logged(platform, REFRESHED, TOKEN.kind).at(-1)).toMatchObject({ level: 'info', seq: 3 });
    await platform.pass(5 * MINUTE);
    await platform.skip(55 * MINUTE);
    expect(tokenMints(platform)).toBe(4);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
    redis.disconnect();
  });

  it('a ticket that was refused meanwhile counts once, also when WeChat sends it again', async () => {
    await stationBehindProxy();
    const { redis, keys } = platform;
    const before = await redis.xlen(keys.events(COMPONENT.appid));
    const push = newTicketPush(platform);
    const admin = new Redis(server.url);
    await admin.client('PAUSE', 60_000, 'WRITE');
    expect(await post(push)).toMatchObject({ status: 503 });
    expect(logged(platform, WAITS)).toMatchObject([{ level: 'warn' }]);
    await admin.client('UNPAUSE');
    await vi.waitFor(async () => expect(await ticketMirror(platform)).toBe(push.ticket), POLLING);
    await platform.pass(10_000);
    const newer = newTicketPush(platform);
    expect(await post(newer)).toMatchObject({ status: 200, text: 'success' });
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    expect(await ticketMirror(platform)).toBe(newer.ticket);
    expect(await redis.hget(keys.ticketRecord(COMPONENT.appid), 'count')).toBe('3');
    expect(await redis.xlen(keys.events(COMPONENT.appid))).toBe(before + 2);
    await platform.pass(MINUTE);
    await expectHealed(platform);
    admin.disconnect();
  });
});

describe('row 19: Redis does what it was told, and its answer is lost', () => {
  it('stores a ticket once, and WeChat hears success', async () => {
    await stationBehindProxy();
    const { redis, keys } = platform;
    const before = await redis.xlen(keys.events(COMPONENT.appid));
    const push = newTicketPush(platform);
    proxy.dropNextReply();
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    expect(proxy.counters().cuts).toBe(1);
    expect(await ticketMirror(platform)).toBe(push.ticket);
    expect(await redis.hget(keys.ticketRecord(COMPONENT.appid), 'count')).toBe('2');
    expect(await redis.xlen(keys.events(COMPONENT.appid))).toBe(before + 1);
    const [, accepted] = logged(platform, 'push accepted');
    expect(accepted).toMatchObject({ level: 'info', outcome: 'duplicate' });
  });

  it("gives a code to one caller only: the lost one is nobody's", async () => {
    await stationBehindProxy();
    const { value: first } = await read(platform, CODE);
    const lost = (await stored(platform, CODE)).kept.value;
    proxy.dropNextReply();
    const seen = await read(platform, CODE);
    expect(proxy.counters().cuts).toBe(1);
    expect(seen).toMatchObject({ status: 200, seq: 3 });
    expect([first, lost]).not.toContain(seen.value);
    expect(platform.simulator.isLive(CODE.kind, seen.value ?? '')).toBe(true);
    // The next caller's code is made behind the answer, without any time passing.
    await vi.waitFor(async () => {
      expect(await stored(platform, CODE)).toMatchObject({ failures: 0, kept: { seq: '4' } });
    }, POLLING);
  });

  it.each([
    { what: 'the right to mint', mark: '"judged_seq"' },
    { what: 'the minted value', mark: '"life_ms"' },
  ])('gives or takes $what once', async ({ mark }) => {
    platform = await platformBeforeRefresh({ redisUrl: server.url });
    const client = new Redis(proxy.url('redis'), {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      commandTimeout: 1_000,
    });
    client.on('error', () => undefined);
    await vi.waitFor(() => expect(client.status).toBe('ready'), POLLING);
    const redis = losingReplyTo(client, mark);
    const here = { ...platform, redis, store: { ...platform.store, redis } };
    const { keeper, wake } = createDoomedReplica(here, 'before send');
    wake();
    const [before, calls] = [platform.clock.now(), platform.simulator.ledger.calls.length];
    expect(await keeper.ensureFresh(TOKEN, 'cron')).toMatchObject({ did: 'refreshed', seq: 2 });
    expect(proxy.counters().cuts).toBe(1);
    expect(platform.clock.now()).toBe(before);
    await expectHealed(platform);
    // One token, and one code that follows it.
    await keeper.idle();
    expect(platform.simulator.ledger.calls.length - calls).toBeLessThanOrEqual(2);
    expect(tokenMints(platform)).toBe(2);
    expect(await platform.redis.llen(platform.keys.history(TOKEN))).toBe(2);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    await keeper.stop();
    client.disconnect();
  });

  // While it reads, begins, commits or reads again.
  it('refreshes once, wherever in a refresh the answers of Redis end', async () => {
    await stationBehindProxy();
    const path = `/v1/credentials/${TOKEN.kind}/${COMPONENT.appid}/refresh`;
    for (const [round, bytes] of [0, 600, 1_200, 1_500, 1_900].entries()) {
      await platform.pass(6 * MINUTE);
      proxy.cutAfter(bytes, 'toClient');
      const answer = await platform.internal(path, { method: 'POST' });
      expect(answer.status).toBe(200);
      expect(proxy.counters().cuts).toBe(round + 1);
      await platform.settle();
      // The clock has not moved.
      await expectHealed(platform);
      const value = newest(platform);
      expect(await answer.json()).toMatchObject({ outcome: 'refreshed', value, seq: round + 2 });
      expect(tokenMints(platform)).toBe(round + 2);
    }
    const lines = logged(platform, REFRESHED, TOKEN.kind);
    expect(lines.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
