import { afterEach, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { createHeartbeat } from '../../src/status/heartbeat.ts';
import type { StatusSnapshot } from '../../src/status/schema.ts';
import { readEvents } from '../../src/store/tickets/event-stream.ts';
import { readReplicas } from '../../src/store/operations/replicas.ts';
import { readTicketArrivals } from '../../src/store/tickets/ticket.ts';
import { VERSION } from '../../src/lib/version.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';

/** What an admin reads, from the calm day to the night when Redis is gone. */
describe('the status', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  const read = async (headers: Record<string, string> = {}) =>
    (await (await platform.internal('/status', { headers })).json()) as StatusSnapshot;

  it('says ok, when each value was obtained and when the next tick will refresh it', async () => {
    platform = await createTestPlatform({ env: { PUBLIC_BASE_URL: 'https://wx.example.com/' } });
    platform.simulator.setPushing(true);
    await platform.skip(5 * HOUR);
    const status = await read();
    expect(status).toMatchObject({ verdict: 'ok', problems: [], redis: { state: 'ready' } });
    const [component] = status.components;
    expect(component?.callback_urls?.message).toBe(
      `https://wx.example.com/callback/${COMPONENT.appid}/$APPID$`,
    );
    const [token, code] = component?.credentials ?? [];
    expect(token).toMatchObject({ kind: 'component_access_token', state: 'fresh', live: true });
    expect(token?.history).toMatchObject({
      count: 3,
      mean_interval_seconds: 6600,
      longest_interval_seconds: 6600,
    });
    expect(code?.history).toMatchObject({ longest_interval_seconds: 1200 });
    expect(Date.parse(token?.next_refresh_at ?? '') % (10 * MINUTE)).toBe(0);
    expect(Date.parse(token?.next_refresh_at ?? '')).toBeGreaterThanOrEqual(
      Date.parse(token?.due_at ?? ''),
    );
    expect(status.jobs.map((job) => [job.name, job.last_run?.ok, job.last_run?.trigger])).toEqual([
      ['component_access_token', true, 'cron'],
      ['pre_auth_code', true, 'cron'],
      ['authorizer_access_token', true, 'cron'],
    ]);
  });

  it('names the reason, the advice and the rid of a failure, and a job that could not do its work', async () => {
    platform = await createTestPlatform();
    const fault = { type: 'errcode', errcode: 40125 } as const;
    platform.simulator.addFault({ api: 'api_component_token', times: 'forever', fault });
    await platform.simulator.pushTicket();
    await platform.pass(10 * MINUTE);
    const status = await read();
    const [problem] = status.problems;
    expect(problem).toMatchObject({ code: 'secret_refused', component: COMPONENT.appid });
    expect(problem?.message).toContain('40125');
    expect(problem?.advice).toContain('COMPONENT_APPSECRET');
    expect(status.components[0]?.credentials[0]?.last_error?.rid).toMatch(/^[0-9a-f-]{8,}$/);
    expect(status.jobs[0]?.last_run?.ok).toBe(false);
  });

  it('shows a key that is narrowed to an appid that component only', async () => {
    const here = makeApiKey('here', `status:read@${COMPONENT.appid}`);
    const elsewhere = makeApiKey('elsewhere', 'status:read@wxffffffffffffffff');
    platform = await createTestPlatform({ env: { API_KEYS: `${here.entry},${elsewhere.entry}` } });
    const appids = async (key: string) =>
      (await read({ authorization: `Bearer ${key}` })).components.map((one) => one.appid);
    expect(await appids(here.key)).toEqual([COMPONENT.appid]);
    expect(await appids(elsewhere.key)).toEqual([]);
  });

  it('says that Redis is away, which ticket waits, and cries out once after a quarter of an hour', async () => {
    const server = await startRedisServer();
    const all = makeApiKey('all', 'status:read');
    const elsewhere = makeApiKey('elsewhere', 'status:read@wxffffffffffffffff');
    const env = { API_KEYS: `${all.entry},${elsewhere.entry}` };
    platform = await createTestPlatform({ redisUrl: server.url, env });
    try {
      await server.kill();
      expect((await platform.simulator.pushTicket()).status).toBe(503);
      const status = await read({ authorization: `Bearer ${all.key}` });
      const narrowed = await read({ authorization: `Bearer ${elsewhere.key}` });
      expect(narrowed.tickets_waiting_for_redis).toEqual([]);
      expect(status).toMatchObject({
        verdict: 'attention',
        redis: { state: 'unavailable' },
        tickets_waiting_for_redis: [COMPONENT.appid],
        problems: [{ code: 'store_unavailable', component: null }],
      });
      expect(platform.logs.filter((line) => line.message.includes('waits in memory'))).toHaveLength(
        1,
      );
      await platform.clock.advance(16 * MINUTE);
      const cries = () =>
        platform.logs.filter((line) => line.message.includes('away for 15 minutes'));
      await expect.poll(() => cries().length, { timeout: 20_000 }).toBe(1);
      expect(cries()[0]?.level).toBe('error');
    } finally {
      await server.stop();
    }
  });
});

describe('what the status knows of replicas, tickets and events', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  const read = async () => (await (await platform.internal('/status')).json()) as StatusSnapshot;

  it('misses a replica that is gone without a word, until another one starts', async () => {
    platform = await createTestPlatform();
    await platform.simulator.pushTicket();
    await platform.settle();
    const killed = createHeartbeat(platform.store, 'killed', VERSION);
    await killed.beat();
    const stopped = createHeartbeat(platform.store, 'stopped', VERSION);
    await stopped.beat();
    await stopped.stop();
    await platform.pass(MINUTE);
    expect((await read()).problems).toEqual([]);
    await platform.pass(1);
    const { problems, replicas, summary } = await read();
    expect(problems).toMatchObject([
      { code: 'replica_lost', severity: 'warning', kind: 'killed', component: null },
    ]);
    expect(summary).toBe('A replica is lost.');
    const states = new Map(replicas.map(({ id, state }) => [id, state]));
    expect(states.get('killed')).toBe('lost');
    expect(states.get('stopped')).toBe('stopped');
    expect([...states.values()]).toContain('running');

    await createHeartbeat(platform.store, 'heir', VERSION).beat();
    expect((await read()).problems).toEqual([]);
    // Nobody cares for ever.
    platform.clock.sleepThrough(25 * HOUR);
    expect((await read()).replicas.map(({ id }) => id)).not.toContain('killed');
  });

  it('sees itself at once, and its goodbye is left for the others', async () => {
    platform = await createTestPlatform();
    const [own, ...none] = await readReplicas(platform.store);
    expect(none).toEqual([]);
    expect(own).toMatchObject({ version: VERSION, stoppedAt: undefined });
    await platform.app.stop();
    expect((await readReplicas(platform.store))[0]).toMatchObject({
      id: own?.id,
      stoppedAt: expect.any(Number) as number,
    });
  });

  it('keeps when tickets came, and a ticket is never lost for it', async () => {
    platform = await createTestPlatform();
    const { redis, keys, store } = platform;
    const came: number[] = [];
    for (let push = 0; push < 3; push += 1) {
      came.unshift(platform.clock.now());
      await platform.simulator.pushTicket();
      await platform.pass(10 * MINUTE);
    }
    expect(await readTicketArrivals(store, COMPONENT.appid)).toEqual(came);
    const key = keys.ticketArrivals(COMPONENT.appid);
    await redis.set(key, 'spoiled by hand');
    const mirror = keys.ticketMirror(COMPONENT.appid);
    const before = await redis.get(mirror);
    expect(await platform.simulator.pushTicket()).toMatchObject({ answer: 'success' });
    expect(await redis.get(mirror)).toMatch(/^ticket@@@/);
    expect(await redis.get(mirror)).not.toBe(before);
    expect(await readTicketArrivals(store, COMPONENT.appid)).toEqual([]);
  });

  it('reads the last events, newest first, without the ticket in them', async () => {
    platform = await createTestPlatform();
    await platform.simulator.pushTicket();
    await platform.simulator.pushUnauthorized(COMPONENT.appid, AUTHORIZER);
    await platform.settle();
    const events = await readEvents(platform.store, COMPONENT.appid, 1);
    expect(events).toHaveLength(1);
    expect(events[0]?.fields.info_type).toBe('unauthorized');
    const all = await readEvents(platform.store, COMPONENT.appid, 10);
    expect(all.at(-1)?.fields.info_type).toBe('component_verify_ticket');
    expect(JSON.stringify(all)).not.toContain('ticket@@@');
  });
});
