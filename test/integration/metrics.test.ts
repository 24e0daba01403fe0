import { afterEach, describe, expect, it } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorize, AUTHORIZED } from '../kit/authorizers.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { readMetrics, scrape } from '../kit/metrics.ts';
import { stored } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';
import { alertsFiring, describeWithPromtool, runPromtool } from '../kit/promtool.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { MINT_API } from '../kit/scenario.ts';

/** What Prometheus reads, and what it would tell. */

let platform: TestPlatform;
afterEach(() => platform.close());

const OF_TOKEN = `{appid="${COMPONENT.appid}",kind="component_access_token"}`;
const epoch = () => platform.clock.now() / 1000;

describe('the metrics of a calm day', () => {
  it('tell times as times, and count what was done', async () => {
    platform = await createTestPlatform({ ticket: true });
    await authorize(platform);
    await platform.pass(10 * MINUTE);
    await platform.simulator.pushTicket();
    await platform.settle();
    const scrapedAt = epoch();
    const metrics = await readMetrics(platform);
    const component = `{appid="${COMPONENT.appid}"}`;
    expect(metrics).toMatchObject({
      wxkeeper_redis_up: 1,
      [`wxkeeper_ticket_received_timestamp_seconds${component}`]: scrapedAt,
      [`wxkeeper_ticket_expires_timestamp_seconds${component}`]: scrapedAt + 12 * 3600,
      [`wxkeeper_credential_failures${OF_TOKEN}`]: 0,
      [`wxkeeper_credential_calls_allowed${OF_TOKEN}`]: 10_000,
      [`wxkeeper_authorizers_kept${component}`]: 1,
      'wxkeeper_replicas{state="running"}': 1,
      'wxkeeper_job_last_run_success{name="component_access_token"}': 1,
      'wxkeeper_log_lines_total{level="error"}': 0,
    });
    const obtained = metrics[`wxkeeper_credential_obtained_timestamp_seconds${OF_TOKEN}`] ?? 0;
    expect(metrics[`wxkeeper_credential_expires_timestamp_seconds${OF_TOKEN}`]).toBe(
      obtained + 7_200,
    );
    expect(metrics[`wxkeeper_credential_due_timestamp_seconds${OF_TOKEN}`]).toBe(obtained + 6_300);
    const states = Object.entries(metrics).filter(([name]) =>
      name.startsWith(`wxkeeper_credential_state${OF_TOKEN.slice(0, -1)}`),
    );
    expect(states.map(([, value]) => value)).toEqual([1, 0, 0, 0, 0]);
    expect(metrics[`wxkeeper_wechat_calls_total{api="${MINT_API}",result="ok"}`]).toBe(1);
    const pushed = 'wxkeeper_pushes_total{type="event",outcome="stored"}';
    expect(metrics[pushed]).toBeGreaterThanOrEqual(2);
    const asked = 'listener="public",method="POST",route="/callback/:component"';
    expect(metrics[`wxkeeper_http_requests_total{${asked},status="200"}`]).toBe(metrics[pushed]);
    expect(metrics[`wxkeeper_http_request_duration_seconds_count{${asked}}`]).toBe(metrics[pushed]);
  });

  it('name no authorizer and hold no value', async () => {
    platform = await createTestPlatform({ ticket: true });
    await authorize(platform);
    const path = AUTHORIZED.subject.replace(':', '/');
    const read = await platform.internal(`/v1/credentials/${AUTHORIZED.kind}/${path}`);
    expect(read.status).toBe(200);
    await platform.settle();
    const text = await scrape(platform);
    expect(text).toContain('route="/v1/credentials/');
    expect(text).not.toContain(AUTHORIZER);
    const kept = await Promise.all([TOKEN, CODE, AUTHORIZED].map((id) => stored(platform, id)));
    const values = kept.map((one) => one.kept.value);
    expect(values.filter((value) => value !== undefined)).toHaveLength(3);
    for (const value of values) expect(text).not.toContain(value);
  });

  it('show a key that is narrowed to an appid only what is about that one', async () => {
    const { key, entry } = makeApiKey('narrow', `status:read@${STABLE.appid}`);
    const reader = makeApiKey('reader', 'credentials:read');
    platform = await createTestPlatform({
      accounts: true,
      env: { API_KEYS: `${entry},${reader.entry}` },
    });
    const get = (bearer: string) =>
      platform.internal('/metrics', { headers: { authorization: `Bearer ${bearer}` } });
    const text = await (await get(key)).text();
    expect(new Set(text.match(/wx[0-9a-f]{16}/g))).toEqual(new Set([STABLE.appid]));
    expect((await get(reader.key)).status).toBe(403);
    expect((await get('no-key')).status).toBe(401);
  });

  it('are each replica’s own, be they in one process', async () => {
    platform = await createTestPlatform();
    const replica = await platform.addReplica();
    await platform.simulator.pushTicket();
    await platform.settle();
    const other = await readMetrics(platform, replica.internalPort());
    const metrics = await readMetrics(platform);
    const pushed = 'wxkeeper_pushes_total{type="event",outcome="stored"}';
    expect([metrics[pushed], other[pushed]].sort()).toEqual([0, 1]);
    expect(other['wxkeeper_replicas{state="running"}']).toBe(2);
    const received = `wxkeeper_ticket_received_timestamp_seconds{appid="${COMPONENT.appid}"}`;
    expect(other[received]).toBe(metrics[received]);
  });
});

describe('the metrics of a bad day', () => {
  it('count refused pushes, failed calls, complaints and log lines', async () => {
    platform = await createTestPlatform();
    await platform.simulator.pushTicket();
    await platform.settle();
    const complain = (body: object) =>
      platform.internal(`/v1/credentials/component_access_token/${COMPONENT.appid}/rejected`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    await platform.pass(2 * MINUTE);
    await complain({ seq: 1, errcode: 40001 });
    await complain({ seq: 1, errcode: 48001 });
    const fault = { type: 'errcode', errcode: 40125 } as const;
    platform.simulator.addFault({ api: MINT_API, times: 'forever', fault });
    await platform.pass(6 * MINUTE);
    await complain({ seq: 2, errcode: 40001 });
    await platform.settle();
    await fetch(
      `${platform.publicUrl()}?msg_signature=${'0'.repeat(40)}&timestamp=1795219200&nonce=1`,
      {
        method: 'POST',
        body: `<xml><AppId>${COMPONENT.appid}</AppId><Encrypt>${'A'.repeat(64)}</Encrypt></xml>`,
      },
    );
    await fetch(platform.publicUrl('/no/such/page'));
    const metrics = await readMetrics(platform);
    expect(metrics).toMatchObject({
      'wxkeeper_pushes_total{type="event",outcome="bad_signature"}': 1,
      'wxkeeper_complaints_total{outcome="refreshed"}': 1,
      'wxkeeper_complaints_total{outcome="bad_request"}': 1,
      'wxkeeper_http_requests_total{listener="public",method="GET",route="unmatched",status="404"}': 1,
      [`wxkeeper_problem{code="secret_refused",severity="critical",appid="${COMPONENT.appid}",kind="component_access_token"}`]: 1,
    });
    const refused = metrics[`wxkeeper_wechat_calls_total{api="${MINT_API}",result="config"}`];
    expect(refused).toBeGreaterThan(0);
    expect(metrics['wxkeeper_log_lines_total{level="error"}']).toBeGreaterThan(0);
    expect(metrics[`wxkeeper_credential_failures${OF_TOKEN}`]).toBe(refused);
    const failed = Object.entries(metrics).filter(
      ([name]) =>
        name.startsWith('wxkeeper_refreshes_total{kind="component_access_token"') &&
        name.includes('result="failed"'),
    );
    expect(failed.reduce((sum, [, count]) => sum + count, 0)).toBe(refused);
  });

  it.each(['dies', 'hangs'])('are there in time when Redis %s, and say so', async (end) => {
    const server = await startRedisServer();
    platform = await createTestPlatform({ redisUrl: server.url });
    try {
      await platform.simulator.pushTicket();
      await platform.settle();
      if (end === 'dies') {
        await server.kill();
        await becomes(platform, 503);
      } else process.kill(server.pid(), 'SIGSTOP');
      const begun = performance.now();
      const answer = await platform.internal('/metrics');
      expect(performance.now() - begun).toBeLessThan(3_000);
      expect(answer.status).toBe(200);
      const text = await answer.text();
      expect(text).toContain('\nwxkeeper_redis_up 0\n');
      expect(text).toContain('\nwxkeeper_problem{code="store_unavailable",severity="critical",');
      expect(text).toContain('\nwxkeeper_pushes_total{type="event",outcome="stored"} 1\n');
      expect(text).not.toMatch(/^wxkeeper_(?:redis_ping_seconds|replicas\{)/m);
    } finally {
      if (end === 'hangs') process.kill(server.pid(), 'SIGCONT');
      await server.stop();
    }
  });
});

describeWithPromtool('Prometheus', () => {
  it('takes the metrics without a complaint, and tells of nothing on a calm day', async () => {
    platform = await createTestPlatform({ ticket: true });
    await authorize(platform);
    await platform.simulator.pushTicket();
    await platform.settle();
    const text = await scrape(platform);
    expect(await runPromtool(['check', 'metrics'], text)).toEqual({ ok: true, output: '' });
    expect(await alertsFiring(text, platform.clock.now())).toEqual([]);
  });

  it('tells once of a ticket that stays away, and later of what comes of it', async () => {
    platform = await createTestPlatform();
    await platform.simulator.pushTicket();
    await platform.settle();
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    await platform.pass(25 * MINUTE);
    expect(await alertsFiring(await scrape(platform), platform.clock.now())).toEqual([]);
    await platform.pass(MINUTE);
    const told = await alertsFiring(await scrape(platform), platform.clock.now());
    expect(told).toEqual(['WxkeeperTicketSilent']);
  });

  it('tells of a wrong secret under that name, also when its values have died', async () => {
    platform = await createTestPlatform();
    platform.simulator.setPushing(true);
    await platform.pass(20 * MINUTE);
    const fault = { type: 'errcode', errcode: 40125 } as const;
    platform.simulator.addFault({ api: MINT_API, times: 'forever', fault });
    await platform.pass(1.75 * HOUR);
    const told = await alertsFiring(await scrape(platform), platform.clock.now());
    expect(told).toContain('WxkeeperSecretRefused');
    expect(told).not.toContain('WxkeeperTicketSilent');
  });
});
