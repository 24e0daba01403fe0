import { afterEach, describe, expect, inject, it, vi } from 'vitest';
import type { ApiFault } from '../../src/sandbox/wechat/faults.ts';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import { MINUTE, type TestPlatform } from '../kit/platform.ts';
import {
  FAILED,
  MINT_API,
  NEEDS_PERSON,
  platformBeforeRefresh,
  REFRESHED,
  secondsUntilRenewed,
} from '../kit/scenario.ts';
import { createTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';
import { passUnanswered } from '../kit/waiting.ts';

/** Milliseconds after the next tick: the refresh has been tried by then. */
const JUST_AFTER = MINUTE + 500;

const tokenMints = ({ simulator }: TestPlatform) =>
  simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;
/** What a caller gets while a call to WeChat hangs: `read` would wait for that call. */
const readMeanwhile = async ({ internal }: TestPlatform) => {
  const answer = await internal(`/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`);
  return { status: answer.status, ...((await answer.json()) as object) };
};

describe('row 25: WeChat mints, and the answer never comes', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it('serves the stored value, doubts it, and mints once more ten seconds later', async () => {
    platform = await platformBeforeRefresh();
    const { simulator, clock } = platform;
    const before = await stored(platform, TOKEN);
    const since = clock.now() + MINUTE;
    simulator.addFault({ api: MINT_API, afterMint: true, fault: { type: 'hang' } });
    await passUnanswered(platform, MINUTE + 7_999);
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: before.kept, locked: true });
    expect(await readMeanwhile(platform)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
      source: 'redis',
    });
    expect(logged(platform, FAILED)).toEqual([]);

    await passUnanswered(platform, 1);
    expect(await stored(platform, TOKEN)).toEqual({
      kept: before.kept,
      failures: 1,
      locked: false,
      suspect: true,
    });
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });
    expect(logged(platform, FAILED)).toMatchObject([
      { level: 'warn', kind: TOKEN.kind, failure: { class: 'retry' } },
    ]);
    expect(logged(platform, 'call to WeChat failed')).toMatchObject([{ fault: 'timeout' }]);

    const healedAfter = await secondsUntilRenewed(platform, '1', 20);
    expect(healedAfter).toBeGreaterThanOrEqual(10);
    expect(gaps(callsSince(platform, MINT_API, since))).toHaveLength(1);
    expect(tokenMints(platform)).toBe(3);
    await expectHealed(platform);
    await platform.pass(5 * MINUTE);
    await platform.skip(85 * MINUTE);
    expect(tokenMints(platform)).toBe(3);
  });
});

describe('row 27: Redis stores a minted value and its answer is lost', () => {
  let platform: TestPlatform;
  let proxy: TcpProxy;
  afterEach(async () => {
    await platform.close();
    await proxy.close();
  });

  it('stores it once, however often it is told', async () => {
    proxy = await createTcpProxy({ socketPath: inject('redisUrl') });
    let armed = false;
    platform = await platformBeforeRefresh({
      redisUrl: proxy.url('redis'),
      simulator: {
        // The next thing that Redis says is its answer to the commit.
        onCall: ({ api }) => {
          if (armed && api === MINT_API) proxy.dropNextReply();
        },
      },
    });
    armed = true;
    const { app, clock, redis, keys } = platform;
    const startedAt = clock.now();
    let outcome: unknown;
    void app.keeper.ensureFresh(TOKEN, 'cron').then((one) => (outcome = one));
    await vi.waitFor(() => expect(proxy.counters().cuts).toBe(1), { timeout: 20_000 });
    // The client says it again by itself; when its connection is too slow for that, we do.
    await vi.waitFor(
      async () => {
        if (outcome === undefined) await clock.advance(100);
        expect(outcome).toMatchObject({ did: 'refreshed', seq: 2 });
      },
      { timeout: 20_000, interval: 50 },
    );
    await platform.settle();
    expect(clock.now() - startedAt).toBeLessThanOrEqual(20_000);
    expect(tokenMints(platform)).toBe(2);
    expect(await redis.llen(keys.history(TOKEN))).toBe(2);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    const lines = logged(platform, REFRESHED, TOKEN.kind);
    expect(lines.map(({ level, seq }) => ({ level, seq }))).toEqual([
      { level: 'info', seq: 1 },
      { level: 'info', seq: 2 },
    ]);
    await expectHealed(platform);
    // Nothing is owed: no further mint follows.
    await platform.pass(5 * MINUTE);
    await platform.skip(85 * MINUTE);
    expect(tokenMints(platform)).toBe(2);
  });
});

describe('row 28: WeChat does not answer for a quarter of an hour', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it('holds, warns, calls a person five minutes before the end, and heals within half a minute', async () => {
    platform = await platformBeforeRefresh();
    const { simulator, clock } = platform;
    const before = await stored(platform, TOKEN);
    const since = clock.now() + MINUTE;
    const expiresAt = Number(before.kept.expires_at);
    simulator.addFault({ api: MINT_API, times: 'forever', fault: { type: 'hang' } });
    await passUnanswered(platform, expiresAt - clock.now() - 1);
    expect(await readMeanwhile(platform)).toMatchObject({
      status: 200,
      value: before.kept.value,
      seq: 1,
    });
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    const calls = callsSince(platform, MINT_API, since);
    expect(calls.length).toBeGreaterThanOrEqual(7);
    for (const gap of gaps(calls)) expect(gap).toBeGreaterThanOrEqual(18);
    const lines = platform.logs.filter(({ message }) => [FAILED, NEEDS_PERSON].includes(message));
    expect(lines.length).toBeGreaterThanOrEqual(6);
    const alarms = lines.filter(({ level }) => level === 'error');
    expect(alarms).toEqual(lines.slice(-alarms.length));
    expect(alarms[0]).toMatchObject({ state: 'urgent', failure: { class: 'retry' } });
    expect(
      lines.filter(({ state }) => state === 'due').every(({ level }) => level === 'warn'),
    ).toBe(true);

    await passUnanswered(platform, 10_000);
    const asked = platform.internal(`/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`);
    await passUnanswered(platform, 9_000);
    const refused = await asked;
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ error: { code: 'wechat_unavailable' } });

    simulator.clearFaults();
    // At most the rest of one call, and the pause before the next one.
    expect(await secondsUntilRenewed(platform, '1', 30)).toBeGreaterThan(0);
    await platform.pass(1_000);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    await expectHealed(platform);
  });
});

interface BadAnswer {
  row: number;
  name: string;
  fault: ApiFault;
  /** What the call is said to have met. */
  met: string;
}

const BAD_ANSWERS: BadAnswer[] = [
  { row: 29, name: 'a 502', fault: { type: 'status', status: 502 }, met: 'http_status' },
  { row: 29, name: 'a 503', fault: { type: 'status', status: 503 }, met: 'http_status' },
  { row: 30, name: 'a web page', fault: { type: 'html' }, met: 'bad_body' },
  {
    row: 30,
    name: 'a text',
    fault: { type: 'body', body: 'ok', contentType: 'text/plain' },
    met: 'bad_body',
  },
  { row: 31, name: 'half a document', fault: { type: 'truncate' }, met: 'bad_body' },
  { row: 31, name: 'half of the bytes', fault: { type: 'truncate', close: true }, met: 'bad_body' },
  {
    row: 31,
    name: 'two documents',
    met: 'bad_body',
    fault: { type: 'body', body: '{"component_access_token":"a"}{"component_access_token":"b"}' },
  },
  {
    row: 32,
    name: 'a slow drip',
    fault: { type: 'drip', bytesPerChunk: 1, everyMs: 300 },
    met: 'timeout',
  },
  { row: 33, name: '300 MB', fault: { type: 'large', bytes: 300_000_000 }, met: 'bad_body' },
  { row: 35, name: 'a reset after the request', fault: { type: 'reset' }, met: 'unreachable' },
];

describe.each(BAD_ANSWERS)('row $row: WeChat answers with $name', ({ fault, met }) => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it.each([true, false])(
    'holds the value, warns, and mints again within half a minute (minted: %s)',
    async (afterMint) => {
      platform = await platformBeforeRefresh();
      const { simulator, clock } = platform;
      const before = await stored(platform, TOKEN);
      const since = clock.now() + MINUTE;
      simulator.addFault({ api: MINT_API, afterMint, fault });
      // A drip is given up eight seconds later, the others are over at once.
      await passUnanswered(platform, JUST_AFTER + (fault.type === 'drip' ? 8_000 : 0));
      expect(await stored(platform, TOKEN)).toEqual({
        kept: before.kept,
        failures: 1,
        locked: false,
        suspect: true,
      });
      expect(await read(platform, TOKEN)).toMatchObject({
        status: 200,
        value: before.kept.value,
        seq: 1,
        state: 'due',
        source: 'redis',
      });
      expect(logged(platform, 'call to WeChat failed')).toMatchObject([
        { level: 'warn', api: MINT_API, fault: met },
      ]);
      expect(logged(platform, FAILED)).toMatchObject([
        { level: 'warn', kind: TOKEN.kind, failures: 1, failure: { class: 'retry' } },
      ]);
      expect(logged(platform, NEEDS_PERSON)).toEqual([]);
      const { credential } = await statusOf(platform, TOKEN);
      expect(credential.last_error?.message).toContain(met);

      expect(await secondsUntilRenewed(platform, '1', 20)).toBeGreaterThan(0);
      const [gap] = gaps(callsSince(platform, MINT_API, since));
      expect(gap).toBeGreaterThanOrEqual(10);
      expect(tokenMints(platform)).toBe(afterMint ? 3 : 2);
      await expectHealed(platform);
    },
  );
});
