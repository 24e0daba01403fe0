import { afterEach, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/api-keys.ts';
import { startRedisServer } from '../../src/commands/redis-server.ts';
import type { StatusSnapshot } from '../../src/status/snapshot.ts';
import { COMPONENT, createStation, HOUR, MINUTE, type Station } from '../support/station.ts';

/** What an admin reads, from the calm day to the night when Redis is gone. */
describe('the status', () => {
  let station: Station;
  afterEach(() => station.close());

  const read = async (headers: Record<string, string> = {}) =>
    (await (await station.internal('/status', { headers })).json()) as StatusSnapshot;

  it('says ok, when each value was obtained and when the next tick will refresh it', async () => {
    station = await createStation({ env: { PUBLIC_BASE_URL: 'https://wx.example.com/' } });
    station.simulator.setPushing(true);
    await station.pass(5 * HOUR);
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
    station = await createStation();
    const fault = { type: 'errcode', errcode: 40125 } as const;
    station.simulator.addFault({ api: 'api_component_token', times: 'forever', fault });
    await station.simulator.pushTicket();
    await station.pass(10 * MINUTE);
    const status = await read();
    const [problem] = status.problems;
    expect(problem).toMatchObject({ code: 'credential_dead', component: COMPONENT.appid });
    expect(problem?.message).toContain('40125');
    expect(problem?.advice).toContain('COMPONENT_APPSECRET');
    expect(status.components[0]?.credentials[0]?.last_error?.rid).toMatch(/^[0-9a-f-]{8,}$/);
    expect(status.jobs[0]?.last_run?.ok).toBe(false);
  });

  it('shows a key that is narrowed to an appid that component only', async () => {
    const here = makeApiKey('here', `status:read@${COMPONENT.appid}`);
    const elsewhere = makeApiKey('elsewhere', 'status:read@wxffffffffffffffff');
    station = await createStation({ env: { API_KEYS: `${here.entry},${elsewhere.entry}` } });
    const appids = async (key: string) =>
      (await read({ authorization: `Bearer ${key}` })).components.map((one) => one.appid);
    expect(await appids(here.key)).toEqual([COMPONENT.appid]);
    expect(await appids(elsewhere.key)).toEqual([]);
  });

  it('says that Redis is away, which ticket waits, and cries out once after a quarter of an hour', async () => {
    const server = await startRedisServer();
    station = await createStation({ redisUrl: server.url });
    try {
      await server.kill();
      expect((await station.simulator.pushTicket()).status).toBe(503);
      const status = await read();
      expect(status).toMatchObject({
        verdict: 'attention',
        redis: { state: 'unavailable' },
        tickets_waiting_for_redis: [COMPONENT.appid],
        problems: [{ code: 'store_unavailable', component: null }],
      });
      expect(station.logs.filter((line) => line.message.includes('waits in memory'))).toHaveLength(
        1,
      );
      await station.clock.advance(16 * MINUTE);
      const cries = () =>
        station.logs.filter((line) => line.message.includes('away for 15 minutes'));
      await expect.poll(() => cries().length, { timeout: 20_000 }).toBe(1);
      expect(cries()[0]?.level).toBe('error');
    } finally {
      await server.stop();
    }
  });
});
