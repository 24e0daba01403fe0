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
import { POLLING } from '../kit/waiting.ts';

/** WeChat hangs up after 5 s; this is what a refusal may take at most. */
const ANSWER_MS = 4_000;
const TOKEN_PATH = `/v1/credentials/${TOKEN.kind}/${COMPONENT.appid}`;

async function readiness(platform: TestPlatform): Promise<number> {
  return (await platform.internal('/readyz')).status;
}

async function becomes(platform: TestPlatform, status: 200 | 503): Promise<void> {
  await vi.waitFor(async () => expect(await readiness(platform)).toBe(status), POLLING);
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
async function ticketArrives(platform: TestPlatform, ticket: string): Promise<void> {
  const { redis, keys } = platform;
  await vi.waitFor(async () => {
    await platform.pass(5_000);
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(ticket);
  }, POLLING);
}

describe('row 1: Redis is away when a push comes', () => {
  let server: RedisServer;
  let platform: TestPlatform;
  beforeEach(async () => {
    server = await startRedisServer({ appendOnly: true });
    platform = await createTestPlatform({ redisUrl: server.url });
    platform.redis.on('error', () => undefined);
  });
  afterEach(async () => {
    await platform.close();
    await server.stop();
  });

  it('refuses the push with 503 in time for WeChat, and says when to come again', async () => {
    await server.kill();
    expectRefusal(await post(newTicketPush(platform)));
    await becomes(platform, 503);
    expectRefusal(await post(newTicketPush(platform)));
    const accepted = platform.logs.filter((line) => line.message === 'push accepted');
    expect(accepted).toEqual([]);
  });

  it('stores the very same push when WeChat sends it again after Redis is back', async () => {
    const push = newTicketPush(platform);
    await server.kill();
    expectRefusal(await post(push));
    await server.start();
    await becomes(platform, 200);
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    await platform.settle();
    const { redis, keys, simulator } = platform;
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(push.ticket);
    expect(await redis.get(keys.mirror(TOKEN))).toBe(
      simulator.latestMint('component_access_token')?.value,
    );
  });

  it('writes the refused ticket and mints with it when WeChat never sends it again', async () => {
    const push = newTicketPush(platform);
    await server.kill();
    expectRefusal(await post(push));
    await becomes(platform, 503);
    const waiting = { tickets_waiting_for_redis: [COMPONENT.appid] };
    const problems = [{ code: 'store_unavailable' }];
    const status = await platform.internal('/status');
    expect(await status.json()).toMatchObject({ ...waiting, verdict: 'attention', problems });
    const said = (text: string) => platform.logs.filter(({ message }) => message.startsWith(text));
    expect(said('Redis is away: a ticket waits')).toMatchObject([{ level: 'warn' }]);
    // As long as Redis is away, every try fails, and none is the last.
    await platform.pass(16 * MINUTE);
    const cry = 'Redis has been away for 15 minutes';
    await vi.waitFor(() => expect(said(cry)).toMatchObject([{ level: 'error' }]), POLLING);
    await server.start();
    // The clock stands still: the connection itself says that Redis is back.
    const { redis, keys } = platform;
    await vi.waitFor(async () => {
      expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(push.ticket);
    }, POLLING);
    await vi.waitFor(async () => {
      const token = await platform.redis.get(platform.keys.mirror(TOKEN));
      expect(token).toMatch(/./);
      expect(platform.simulator.isLive('component_access_token', token ?? '')).toBe(true);
    }, POLLING);
  });

  it('keeps the newest of several refused tickets', async () => {
    await server.kill();
    const older = newTicketPush(platform);
    await platform.pass(2_000);
    const newer = newTicketPush(platform);
    expectRefusal(await post(newer));
    expectRefusal(await post(older));
    await server.start();
    await becomes(platform, 200);
    await ticketArrives(platform, newer.ticket);
    const { redis, keys } = platform;
    for (let second = 0; second < 20; second += 5) await platform.pass(5_000);
    expect(await redis.get(keys.ticketMirror(COMPONENT.appid))).toBe(newer.ticket);
  });

  it('is not ready while Redis is away, ready afterwards, and alive throughout', async () => {
    expect(await readiness(platform)).toBe(200);
    await server.kill();
    await becomes(platform, 503);
    const answer = await platform.internal('/readyz');
    expect(await answer.json()).toEqual({ status: 'not_ready', reason: 'store_unavailable' });
    expect((await platform.internal('/livez')).status).toBe(200);
    await server.start();
    await becomes(platform, 200);
  });

  it('refuses to hand out a credential that it has never seen', async () => {
    await server.kill();
    const answer = await platform.internal(TOKEN_PATH);
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await answer.json()).toMatchObject({ error: { code: 'store_unavailable' } });
    await server.start();
    await becomes(platform, 200);
    await platform.simulator.pushTicket();
    await platform.settle();
    await becomes(platform, 200);
    expect(await (await platform.internal(TOKEN_PATH)).json()).toMatchObject({
      value: platform.simulator.latestMint('component_access_token')?.value,
    });
  });

  it('refuses in time when Redis takes the command and never answers, and heals', async () => {
    const push = newTicketPush(platform);
    process.kill(server.pid(), 'SIGSTOP');
    try {
      expectRefusal(await post(push));
      const begun = performance.now();
      expect((await platform.internal(TOKEN_PATH)).status).toBe(503);
      expect(performance.now() - begun).toBeLessThan(ANSWER_MS);
      // Nothing is left that waits for Redis.
      await platform.settle();
    } finally {
      process.kill(server.pid(), 'SIGCONT');
    }
    await ticketArrives(platform, push.ticket);
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    await becomes(platform, 200);
    expect((await platform.internal(TOKEN_PATH)).status).toBe(200);
  });

  it('does nothing afterwards that it refused meanwhile, unless WeChat sends it again', async () => {
    const { simulator, redis, keys } = platform;
    const { url, body } = simulator.buildPush(undefined, 'authorized');
    await server.kill();
    await becomes(platform, 503);
    expectRefusal(await post({ url: url ?? '', body }));
    await server.start();
    await becomes(platform, 200);
    // Asked over the connection by which the refused command would come.
    expect((await platform.internal('/status')).status).toBe(200);
    expect(await redis.xlen(keys.events(COMPONENT.appid))).toBe(0);
    expect(await post({ url: url ?? '', body })).toMatchObject({ status: 200, text: 'success' });
    expect(await redis.xlen(keys.events(COMPONENT.appid))).toBe(1);
  });

  it('says so once for a person when Redis reads but refuses to write, and heals', async () => {
    const { redis, simulator, clock } = platform;
    await simulator.pushTicket();
    await platform.settle();
    // A ticket of the same second would not count as newer.
    await platform.pass(1_000);
    simulator.addFault(NO_PUSHES_ON_REQUEST);
    await redis.config('SET', 'maxmemory', '1');
    const push = newTicketPush(platform);
    expectRefusal(await post(push));
    clock.sleepThrough(3 * HOUR);
    for (let tries = 0; tries < 3; tries += 1) {
      const answer = await platform.internal(TOKEN_PATH);
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await answer.json()).toMatchObject({ error: { code: 'store_unavailable' } });
    }
    const cries = platform.logs.filter(({ problem }) => problem === 'OOM');
    expect(cries).toMatchObject([{ level: 'error', kind: TOKEN.kind }]);
    // Nothing was minted that could not be stored.
    expect(simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind)).toHaveLength(1);

    await redis.config('SET', 'maxmemory', '0');
    await platform.pass(31_000);
    expect(await redis.get(platform.keys.ticketMirror(COMPONENT.appid))).toBe(push.ticket);
    expect(await (await platform.internal(TOKEN_PATH)).json()).toMatchObject({
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
  let platform: TestPlatform | undefined;
  beforeEach(async () => {
    server = await startRedisServer({ listen: 'port', args: ['--requirepass', RIGHT] });
    admin = new Redis(server.url, { password: RIGHT });
  });
  afterEach(async () => {
    await platform?.close();
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
    platform = await createTestPlatform({ redisUrl, startApp: false });
    platform.redis.on('error', () => undefined);
    await platform.app.start();
    platform.simulator.setCallbackUrl(COMPONENT.appid, platform.publicUrl());
    expect(await readiness(platform)).toBe(503);
    expectRefusal(await post(newTicketPush(platform)));
    const cries = platform.logs.filter(
      (line) => line.level === 'error' && line.message.includes('Redis refuses our login'),
    );
    expect(cries).not.toEqual([]);

    expect((await platform.internal(TOKEN_PATH)).status).toBe(503);
    const status = await platform.internal('/status');
    expect(await status.json()).toMatchObject({ problems: [{ code: 'store_unavailable' }] });

    await mend();
    const mended = performance.now();
    await becomes(platform, 200);
    // The longest pause between two tries is two seconds; the rest is for a busy machine.
    expect(performance.now() - mended).toBeLessThan(10_000);
    expect(cries).toHaveLength(1);
    expect(await platform.simulator.pushTicket()).toMatchObject({ accepted: true });
    await platform.settle();
    const text = platform.logs.map((line) => JSON.stringify(line)).join('\n');
    expect(text).not.toContain(WRONG);
    expect(text).not.toContain(RIGHT);
  });
});
