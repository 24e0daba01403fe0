import { afterEach, describe, expect, it } from 'vitest';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN, watchMirrors } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';

const START_PUSH = 'api_start_push_ticket';
const SILENT = 'no ticket push for 25 minutes; the stored ticket serves for its 12 hours';
const SILENT_LONG = /^no ticket push for an hour\. Check in the console/;
const EXPIRED = /^the last ticket is 12 hours old: nothing can be refreshed\. Check in the console/;
const ASKED = 'asked WeChat to push tickets again';
const WOULD_NOT = 'WeChat would not start pushing tickets; asked again in an hour';
const COULD_NOT = 'WeChat could not be asked to push tickets; asked again in 5 minutes';
/** Seconds: the watchdog looks in each patrol. */
const ROUND = 15;

describe('row 47: ticket pushes stop', () => {
  let platform: TestPlatform;
  let since: number;
  afterEach(() => platform.close());

  const start = async (options: { replicas?: number; answersRequests?: boolean } = {}) => {
    platform = await createTestPlatform();
    if (options.answersRequests !== true) platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    for (let more = 1; more < (options.replicas ?? 1); more += 1) await platform.addReplica();
    since = platform.clock.now();
    await platform.simulator.pushTicket();
    await platform.settle();
  };
  const passUntil = (ms: number) => platform.pass(since + ms - platform.clock.now());
  const matching = (pattern: RegExp) =>
    platform.logs.filter(({ message }) => pattern.test(message));
  const codes = async () => (await statusOf(platform, TOKEN)).problems.map(({ code }) => code);

  it.each([1, 2])(
    'warns at 25 minutes, asks at 30, calls a person at 60, each once (replicas: %d)',
    async (replicas) => {
      await start({ replicas });
      await passUntil(25 * MINUTE - 1);
      expect(logged(platform, SILENT)).toEqual([]);
      expect(await codes()).toEqual([]);
      await passUntil(25 * MINUTE + ROUND * 1_000);
      expect(logged(platform, SILENT)).toMatchObject([
        { level: 'warn', appid: COMPONENT.appid, silent_minutes: 25 },
      ]);
      expect(await codes()).toEqual(['ticket_silent']);

      await passUntil(30 * MINUTE - 1);
      expect(callsSince(platform, START_PUSH, since)).toEqual([]);
      await passUntil(60 * MINUTE - 1);
      const asked = callsSince(platform, START_PUSH, since);
      expect(asked).toHaveLength(1);
      expect(asked[0]).toBeLessThanOrEqual(30 * 60 + ROUND);
      expect(logged(platform, ASKED)).toMatchObject([{ level: 'warn', silent_minutes: 30 }]);
      expect(matching(SILENT_LONG)).toEqual([]);
      await passUntil(60 * MINUTE + ROUND * 1_000);
      expect(matching(SILENT_LONG)).toMatchObject([{ level: 'error', silent_minutes: 60 }]);

      await passUntil(3 * HOUR);
      expect(logged(platform, SILENT)).toHaveLength(1);
      expect(matching(SILENT_LONG)).toHaveLength(1);
      const hourly = callsSince(platform, START_PUSH, since);
      expect(hourly).toHaveLength(3);
      for (const gap of gaps(hourly)) {
        expect(gap).toBeGreaterThanOrEqual(3_600);
        expect(gap).toBeLessThanOrEqual(3_600 + ROUND);
      }
    },
  );

  it('asks again an hour later when WeChat refuses to push', async () => {
    await start({ answersRequests: true });
    const refusal = { type: 'errcode', errcode: 40125 } as const;
    platform.simulator.addFault({ api: START_PUSH, fault: refusal });
    await passUntil(31 * MINUTE);
    expect(logged(platform, WOULD_NOT)).toMatchObject([
      { level: 'warn', silent_minutes: 30, failure: { class: 'config', errcode: 40125 } },
    ]);
    expect(await codes()).toEqual(['ticket_silent']);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
    await passUntil(89 * MINUTE);
    expect(callsSince(platform, START_PUSH, since)).toHaveLength(1);
    await passUntil(91 * MINUTE);
    expect(callsSince(platform, START_PUSH, since)).toHaveLength(2);
    expect(logged(platform, ASKED)).toHaveLength(1);
    expect(await codes()).toEqual([]);
  });

  it.each([
    { what: 'a reset', fault: { type: 'reset' } as const },
    { what: 'a 502', fault: { type: 'status', status: 502 } as const },
    { what: 'a web page', fault: { type: 'html' } as const },
  ])('of a new deployment: asks again five minutes after $what', async ({ fault }) => {
    platform = await createTestPlatform();
    since = platform.clock.now();
    platform.simulator.addFault({ api: START_PUSH, fault });
    await platform.pass(2 * MINUTE);
    expect(callsSince(platform, START_PUSH, since)).toHaveLength(1);
    expect(logged(platform, COULD_NOT)).toMatchObject([
      { level: 'warn', appid: COMPONENT.appid, silent_minutes: 1, failure: { class: 'retry' } },
    ]);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 503,
      error: { code: 'no_ticket' },
    });
    await passUntil(6 * MINUTE + 2 * ROUND * 1_000);
    const [first = 0, second = 0, ...more] = callsSince(platform, START_PUSH, since);
    expect(more).toEqual([]);
    expect(second - first).toBeGreaterThanOrEqual(300);
    expect(second - first).toBeLessThanOrEqual(300 + ROUND);
    expect(logged(platform, ASKED)).toHaveLength(1);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
    await expectHealed(platform);
  });

  it('asks every five minutes while WeChat cannot be reached, then hourly (2 replicas)', async () => {
    await start({ replicas: 2 });
    platform.simulator.clearFaults();
    platform.simulator.addFault({ api: START_PUSH, times: 3, fault: { type: 'reset' } });
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    await passUntil(3 * HOUR);
    const asked = gaps(callsSince(platform, START_PUSH, since));
    expect(asked).toHaveLength(5);
    for (const [index, gap] of asked.entries()) {
      const pause = index < 3 ? 300 : 3_600;
      expect(gap).toBeGreaterThanOrEqual(pause);
      expect(gap).toBeLessThanOrEqual(pause + ROUND);
    }
    expect(logged(platform, COULD_NOT)).toHaveLength(3);
  });

  it('refreshes with the stored ticket for its twelve hours, and serves to the end of the last token', async () => {
    await start();
    expect(await watchMirrors(platform, (12 * HOUR) / 1_000 - 1)).toEqual([]);
    expect(matching(EXPIRED)).toEqual([]);
    await passUntil(12 * HOUR + ROUND * 1_000);
    expect(matching(EXPIRED)).toMatchObject([{ level: 'error', appid: COMPONENT.appid }]);
    const { problems } = await statusOf(platform, TOKEN);
    const advice = problems.find(({ code }) => code === 'ticket_expired')?.advice;
    expect(advice).toContain('authorization-event URL');
    expect(advice).toContain('repairs everything by itself');

    const last = await stored(platform, TOKEN);
    const endsAt = Number(last.kept.expires_at);
    expect(endsAt).toBeGreaterThan(platform.clock.now() + 10 * MINUTE);
    await platform.skip(endsAt - platform.clock.now() - 1);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: last.kept.value,
      source: 'redis',
    });
    await platform.pass(1);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 503,
      retryAfter: 60,
      error: { code: 'ticket_expired' },
    });
    // The code that was ready lives by itself; there is none after it.
    expect(await read(platform, CODE)).toMatchObject({ status: 200 });
    expect(await read(platform, CODE)).toMatchObject({
      status: 503,
      error: { code: 'ticket_expired' },
    });
    expect((await stored(platform, TOKEN)).kept).toMatchObject({
      value: last.kept.value,
      seq: last.kept.seq,
    });
    expect(matching(EXPIRED)).toHaveLength(1);

    // One push, and in the same moment everything is there again.
    await platform.simulator.pushTicket();
    await platform.settle();
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, state: 'fresh' });
    expect(await read(platform, CODE)).toMatchObject({ status: 200 });
    expect(await codes()).toEqual([]);
    await expectHealed(platform);
  });

  it('is over a moment after WeChat was asked, when asking is all that it takes', async () => {
    await start({ answersRequests: true });
    await passUntil(30 * MINUTE + (ROUND + 2) * 1_000);
    expect(callsSince(platform, START_PUSH, since)).toHaveLength(1);
    expect(logged(platform, ASKED)).toMatchObject([
      { level: 'warn', appid: COMPONENT.appid, silent_minutes: 30 },
    ]);
    const ticket = await platform.redis.hgetall(platform.keys.ticketRecord(COMPONENT.appid));
    expect(ticket).toMatchObject({ count: '2' });
    expect(ticket).not.toHaveProperty('stage');
    expect(await codes()).toEqual([]);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
  });
});
