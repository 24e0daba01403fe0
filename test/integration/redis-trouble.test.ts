import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { TOKEN } from '../kit/liveness.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';

/** WeChat hangs up after 5 s; this is what a refusal may take at most. */
const ANSWER_MS = 4_000;
const TOKEN_PATH = `/v1/credentials/${TOKEN.kind}/${COMPONENT.appid}`;
const POLLING = { timeout: 20_000, interval: 50 };

async function readiness(station: TestPlatform): Promise<number> {
  return (await station.internal('/readyz')).status;
}

async function becomes(station: TestPlatform, status: 200 | 503): Promise<void> {
  await vi.waitFor(async () => expect(await readiness(station)).toBe(status), POLLING);
}

async function post(push: { url: string; body: string }) {
  const begun = performance.now();
  const answer = await fetch(push.url, { method: 'POST', body: push.body });
  const text = await answer.text();
  return {
    status: answer.status,
    text,
    retryAfter: answer.headers.get('retry-after'),
    tookMs: performance.now() - begun,
  };
}

/** A ticket push that is not sent yet, so that it can be sent twice. */
function newTicketPush({ simulator }: TestPlatform) {
  const { url, body, document } = simulator.buildPush(undefined, 'component_verify_ticket');
  const ticket = /ticket@@@[^\]<]+/.exec(document)?.[0] ?? '';
  expect(ticket).not.toBe('');
  return { url: url ?? '', body, ticket };
}

function expectRefusal(answer: Awaited<ReturnType<typeof post>>): void {
  expect(answer.status).toBe(503);
  expect(answer.text).not.toContain('success');
  expect(Number(answer.retryAfter)).toBeGreaterThan(0);
  expect(answer.tookMs).toBeLessThan(ANSWER_MS);
}

/** Time passes in small steps until the ticket is where other services read it. */
async function ticketArrives(station: TestPlatform, ticket: string): Promise<void> {
  const { redis, keys } = station;
  await vi.waitFor(async () => {
    await station.pass(5_000);
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(ticket);
  }, POLLING);
}

describe('row 1: Redis is away when a push comes', () => {
  let server: RedisServer;
  let station: TestPlatform;
  beforeEach(async () => {
    server = await startRedisServer({ appendOnly: true });
    station = await createTestPlatform({ redisUrl: server.url });
    station.redis.on('error', () => undefined);
  });
  afterEach(async () => {
    await station.close();
    await server.stop();
  });

  it('refuses the push with 503 in time for WeChat, and says when to come again', async () => {
    await server.kill();
    expectRefusal(await post(newTicketPush(station)));
    await becomes(station, 503);
    expectRefusal(await post(newTicketPush(station)));
    const accepted = station.logs.filter((line) => line.message === 'push accepted');
    expect(accepted).toEqual([]);
  });

  it('stores the very same push when WeChat sends it again after Redis is back', async () => {
    const push = newTicketPush(station);
    await server.kill();
    expectRefusal(await post(push));
    await server.start();
    await becomes(station, 200);
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    await station.settle();
    const { redis, keys, simulator } = station;
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(push.ticket);
    expect(await redis.get(keys.mirror(TOKEN))).toBe(
      simulator.latestMint('component_access_token')?.value,
    );
  });

  it('writes the refused ticket and mints with it when WeChat never sends it again', async () => {
    const push = newTicketPush(station);
    await server.kill();
    expectRefusal(await post(push));
    await becomes(station, 503);
    const waiting = { tickets_waiting_for_redis: [COMPONENT.appid] };
    const problems = [{ code: 'store_unavailable' }];
    const status = await station.internal('/status');
    expect(await status.json()).toMatchObject({ ...waiting, verdict: 'attention', problems });
    const said = (text: string) => station.logs.filter(({ message }) => message.startsWith(text));
    expect(said('Redis is away: a ticket waits')).toMatchObject([{ level: 'warn' }]);
    // As long as Redis is away, every try fails, and none is the last.
    await station.pass(16 * MINUTE);
    const cry = 'Redis has been away for 15 minutes';
    await vi.waitFor(() => expect(said(cry)).toMatchObject([{ level: 'error' }]), POLLING);
    await server.start();
    // The clock stands still: the connection itself says that Redis is back.
    const { redis, keys } = station;
    await vi.waitFor(async () => {
      expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(push.ticket);
    }, POLLING);
    await vi.waitFor(async () => {
      const token = await station.redis.get(station.keys.mirror(TOKEN));
      expect(token).toMatch(/./);
      expect(station.simulator.isLive('component_access_token', token ?? '')).toBe(true);
    }, POLLING);
  });

  it('keeps the newest of several refused tickets', async () => {
    await server.kill();
    const older = newTicketPush(station);
    await station.pass(2_000);
    const newer = newTicketPush(station);
    expectRefusal(await post(newer));
    expectRefusal(await post(older));
    await server.start();
    await becomes(station, 200);
    await ticketArrives(station, newer.ticket);
    const { redis, keys } = station;
    for (let second = 0; second < 20; second += 5) await station.pass(5_000);
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(newer.ticket);
  });

  it('is not ready while Redis is away, ready afterwards, and alive throughout', async () => {
    expect(await readiness(station)).toBe(200);
    await server.kill();
    await becomes(station, 503);
    const answer = await station.internal('/readyz');
    expect(await answer.json()).toEqual({ status: 'not_ready', reason: 'store_unavailable' });
    expect((await station.internal('/livez')).status).toBe(200);
    await server.start();
    await becomes(station, 200);
  });

  it('refuses to hand out a credential that it has never seen', async () => {
    await server.kill();
    const answer = await station.internal(TOKEN_PATH);
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await answer.json()).toMatchObject({ error: { code: 'store_unavailable' } });
    await server.start();
    await becomes(station, 200);
    await station.simulator.pushTicket();
    await station.settle();
    await becomes(station, 200);
    expect(await (await station.internal(TOKEN_PATH)).json()).toMatchObject({
      value: station.simulator.latestMint('component_access_token')?.value,
    });
  });

  it('refuses in time when Redis takes the command and never answers, and heals', async () => {
    const push = newTicketPush(station);
    process.kill(server.pid(), 'SIGSTOP');
    try {
      expectRefusal(await post(push));
      const begun = performance.now();
      expect((await station.internal(TOKEN_PATH)).status).toBe(503);
      expect(performance.now() - begun).toBeLessThan(ANSWER_MS);
      // Nothing is left that waits for Redis.
      await station.settle();
    } finally {
      process.kill(server.pid(), 'SIGCONT');
    }
    await ticketArrives(station, push.ticket);
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    await becomes(station, 200);
    expect((await station.internal(TOKEN_PATH)).status).toBe(200);
  });

  it('does nothing afterwards that it refused meanwhile, unless WeChat sends it again', async () => {
    const { simulator, redis, keys } = station;
    const { url, body } = simulator.buildPush(undefined, 'authorized');
    await server.kill();
    await becomes(station, 503);
    expectRefusal(await post({ url: url ?? '', body }));
    await server.start();
    await becomes(station, 200);
    // Asked over the connection by which the refused command would come.
    expect((await station.internal('/status')).status).toBe(200);
    expect(await redis.xlen(keys.events(COMPONENT.appid))).toBe(0);
    expect(await post({ url: url ?? '', body })).toMatchObject({ status: 200, text: 'success' });
    expect(await redis.xlen(keys.events(COMPONENT.appid))).toBe(1);
  });

  it('says so once for a person when Redis reads but refuses to write, and heals', async () => {
    const { redis, simulator, clock } = station;
    await simulator.pushTicket();
    await station.settle();
    // A ticket of the same second would not count as newer.
    await station.pass(1_000);
    simulator.addFault(NO_PUSHES_ON_REQUEST);
    await redis.config('SET', 'maxmemory', '1');
    const push = newTicketPush(station);
    expectRefusal(await post(push));
    clock.sleepThrough(3 * HOUR);
    for (let tries = 0; tries < 3; tries += 1) {
      const answer = await station.internal(TOKEN_PATH);
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await answer.json()).toMatchObject({ error: { code: 'store_unavailable' } });
    }
    const cries = station.logs.filter(({ problem }) => problem === 'OOM');
    expect(cries).toMatchObject([{ level: 'error', kind: TOKEN.kind }]);
    // Nothing was minted that could not be stored.
    expect(simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind)).toHaveLength(1);

    await redis.config('SET', 'maxmemory', '0');
    await station.pass(31_000);
    expect(await redis.get(station.keys.ticketMirror(COMPONENT.appid))).toBe(push.ticket);
    expect(await (await station.internal(TOKEN_PATH)).json()).toMatchObject({
      value: simulator.latestMint(TOKEN.kind)?.value,
      seq: 2,
      state: 'fresh',
    });
  });
});

describe('row 13: Redis refuses the login', () => {
  const RIGHT = 'right-canary-7c1f';
  const WRONG = 'wrong-canary-90ab';
  let server: RedisServer;
  let admin: Redis;
  let station: TestPlatform | undefined;
  beforeEach(async () => {
    server = await startRedisServer({ listen: 'port', args: ['--requirepass', RIGHT] });
    admin = new Redis(server.url, { password: RIGHT });
  });
  afterEach(async () => {
    await station?.close();
    admin.disconnect();
    await server.stop();
  });

  it.each([
    {
      login: 'a wrong password',
      user: `:${WRONG}@`,
      mend: () => admin.config('SET', 'requirepass', WRONG),
    },
    {
      login: 'no password where one is asked for',
      user: '',
      mend: () => admin.config('SET', 'requirepass', ''),
    },
    {
      login: 'a user that is not known',
      user: `keeper:${WRONG}@`,
      mend: () => admin.acl('SETUSER', 'keeper', 'on', `>${WRONG}`, '~*', '&*', '+@all'),
    },
  ])('with $login: says so for a person, hides it, heals by itself', async ({ user, mend }) => {
    const redisUrl = server.url.replace('://', `://${user}`);
    station = await createTestPlatform({ redisUrl, startApp: false });
    station.redis.on('error', () => undefined);
    await station.app.start();
    station.simulator.setCallbackUrl(COMPONENT.appid, station.publicUrl());
    expect(await readiness(station)).toBe(503);
    expectRefusal(await post(newTicketPush(station)));
    const cries = station.logs.filter(
      (line) => line.level === 'error' && line.message.includes('REDIS_URL'),
    );
    expect(cries).not.toEqual([]);

    expect((await station.internal(TOKEN_PATH)).status).toBe(503);
    const status = await station.internal('/status');
    expect(await status.json()).toMatchObject({ problems: [{ code: 'store_unavailable' }] });

    await mend();
    const mended = performance.now();
    await becomes(station, 200);
    // The longest pause between two tries is two seconds; the rest is for a busy machine.
    expect(performance.now() - mended).toBeLessThan(10_000);
    expect(cries).toHaveLength(1);
    expect(await station.simulator.pushTicket()).toMatchObject({ accepted: true });
    await station.settle();
    const text = station.logs.map((line) => JSON.stringify(line)).join('\n');
    expect(text).not.toContain(WRONG);
    expect(text).not.toContain(RIGHT);
  });
});
