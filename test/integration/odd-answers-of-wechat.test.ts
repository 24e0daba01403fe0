import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readHistory } from '../../src/store/credentials/record.ts';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, logged, read, statusOf, stored } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { tokenMints } from '../kit/redis-trouble.ts';
import {
  FAILED,
  MINT_API,
  NEEDS_PERSON,
  platformBeforeRefresh,
  REFRESHED,
  secondsUntilRenewed,
} from '../kit/scenario.ts';

describe('row 34: something answers with a redirect to another host', () => {
  let platform: TestPlatform;
  let requests = 0;
  const elsewhere = createServer((_request, response) => {
    requests += 1;
    response.end('{"component_access_token":"from elsewhere","expires_in":7200}');
  });
  afterEach(async () => {
    elsewhere.close();
    await platform.close();
  });

  it('sends the secret nowhere else, tells a person, and heals when the proxy is gone', async () => {
    await new Promise<void>((resolve) => void elsewhere.listen(0, '127.0.0.1', resolve));
    const { port } = elsewhere.address() as AddressInfo;
    platform = await platformBeforeRefresh({ simulator: { hosts: 2 } });
    const { simulator, clock } = platform;
    const before = await stored(platform, TOKEN);
    const since = clock.now() + MINUTE;
    simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'redirect', location: `http://127.0.0.1:${port}/` },
    });
    await platform.pass(10 * MINUTE);
    expect(requests).toBe(0);
    // Another host would be behind the same proxy. Once more, in case that it passes; after that a person
    // is not faster than ten minutes.
    const calls = callsSince(platform, MINT_API, since);
    expect(calls).toEqual([0, expect.closeTo(30, -1)]);
    expect(await stored(platform, TOKEN)).toEqual({ ...before, failures: 2 });
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      source: 'redis',
    });
    expect(logged(platform, 'call to WeChat failed')).toMatchObject([
      { level: 'warn', api: MINT_API, fault: 'redirect' },
      { level: 'warn', api: MINT_API, fault: 'redirect' },
    ]);
    expect(logged(platform, NEEDS_PERSON)).toMatchObject([
      { level: 'error', kind: TOKEN.kind, failures: 1, failure: { class: 'config' } },
      { level: 'error', kind: TOKEN.kind, failures: 2, failure: { class: 'config' } },
    ]);
    const { credential, problems } = await statusOf(platform, TOKEN);
    const advice = credential.last_error?.advice ?? '';
    expect(advice).toMatch(/proxy stands between/);
    expect(problems).toMatchObject([{ code: 'credential_refresh_failing', advice }]);

    simulator.clearFaults();
    expect(await secondsUntilRenewed(platform, '1', 95)).toBeGreaterThan(85);
    expect(tokenMints(platform)).toBe(2);
    await expectHealed(platform);
  });
});

describe('row 122: one refusal that passes', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  const refusal = (errcode: number) => ({ type: 'errcode', errcode }) as const;
  it.each([
    { name: "a redirect to a network's log-in page", fault: { type: 'redirect', location: '/' } },
    { name: 'its page instead of an answer', fault: { type: 'html' } },
    { name: 'the 403 of a proxy', fault: { type: 'status', status: 403, body: '<h1>No</h1>' } },
    { name: 'the 407 of a proxy', fault: { type: 'status', status: 407 } },
    { name: 'a whitelist that is being released (61004)', fault: refusal(61004) },
    { name: 'a whitelist that is being released (40164)', fault: refusal(40164) },
    { name: 'an appid that is not known everywhere yet (40013)', fault: refusal(40013) },
    { name: 'a secret that is not known everywhere yet (40125)', fault: refusal(40125) },
    { name: 'a right that is not known everywhere yet (48001)', fault: refusal(48001) },
  ] as const)('$name costs a minute and not ten', async ({ fault }) => {
    platform = await createTestPlatform();
    platform.simulator.addFault({ api: MINT_API, fault });
    await platform.simulator.pushTicket();
    await platform.settle();
    expect(await read(platform, TOKEN)).toMatchObject({ status: 503 });
    await platform.pass(MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, state: 'fresh' });
    expect(callsSince(platform, MINT_API, 0)).toHaveLength(2);
  });
});

describe('row 46: WeChat gives the same token again', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it('counts as a longer life of it: nobody has to learn a new value', async () => {
    platform = await platformBeforeRefresh();
    const { simulator, clock, redis, keys, store } = platform;
    const before = await stored(platform, TOKEN);
    const body = JSON.stringify({ component_access_token: before.kept.value, expires_in: 7200 });
    simulator.addFault({ api: MINT_API, fault: { type: 'body', body } });
    const since = clock.now() + MINUTE;
    await platform.pass(MINUTE);

    expect(callsSince(platform, MINT_API, since)).toEqual([0]);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      state: 'fresh',
      expires_in: 7200,
    });
    const url = `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`;
    const polled = await platform.internal(url, { headers: { 'if-none-match': '"1"' } });
    expect(polled.status).toBe(304);
    expect(await stored(platform, TOKEN)).toEqual({
      ...before,
      kept: {
        ...before.kept,
        expires_at: String(since + 7_200_000),
        obtained_at: String(since),
      },
    });
    // Redis counts on its own clock, which has hardly moved.
    expect(await redis.pttl(keys.mirror(TOKEN))).toBeGreaterThan(7_000_000);
    expect(await redis.pttl(keys.mirror(TOKEN))).toBeLessThanOrEqual(7_200_000);
    expect((await readHistory(store, TOKEN)).map(({ seq }) => seq)).toEqual([1, 1]);
    expect(logged(platform, REFRESHED, TOKEN.kind)).toMatchObject([
      {
        level: 'info',
        seq: 1,
        expires_at: new Date(since - 110 * MINUTE + 7_200_000).toISOString(),
      },
      { level: 'info', seq: 1, expires_at: new Date(since + 7_200_000).toISOString() },
    ]);
    expect([...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)]).toEqual([]);
    const { credential, problems } = await statusOf(platform, TOKEN);
    expect(credential).toMatchObject({ state: 'fresh', failures_in_a_row: 0, last_error: null });
    expect(problems).toEqual([]);

    // Nothing is owed. In ten minutes the simulator, which knows of no longer life, ends it.
    await platform.pass(9 * MINUTE);
    expect(callsSince(platform, MINT_API, since)).toEqual([0]);
    expect(tokenMints(platform)).toBe(1);
    await expectHealed(platform);
  });
});
