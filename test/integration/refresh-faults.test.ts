import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';

const API = 'api_component_token';
const FAILED = 'refresh failed, trying again';
const NEEDS_PERSON = 'refresh failed: a person should look';

/** A station whose token has been fresh for 109 minutes: the next tick, at 110, finds it due. */
async function platformBeforeRefresh(random?: () => number): Promise<TestPlatform> {
  const station = await createTestPlatform(random === undefined ? {} : { random });
  await station.simulator.pushTicket();
  await station.settle();
  await station.skip(100 * MINUTE);
  await station.simulator.pushTicket();
  await station.settle();
  await station.skip(9 * MINUTE);
  return station;
}

describe('row 37: WeChat says that it is busy (errcode -1)', () => {
  let station: TestPlatform;
  afterEach(() => station.close());

  it.each([0, 0.5, 0.999])(
    'tries three times quickly, then with a growing back-off, and serves the old value (luck %d)',
    async (luck) => {
      station = await platformBeforeRefresh(() => luck);
      const before = await stored(station, TOKEN);
      const since = station.clock.now();
      station.simulator.addFault({
        api: API,
        times: 'forever',
        fault: { type: 'errcode', errcode: -1 },
      });
      await station.pass(5 * MINUTE);

      const between = gaps(callsSince(station, API, since));
      expect(between.length).toBeGreaterThanOrEqual(5);
      for (const gap of between.slice(0, 3)) {
        expect(gap).toBeGreaterThanOrEqual(1);
        // Four seconds, and up to one that keeps replicas apart.
        expect(gap).toBeLessThanOrEqual(5);
      }
      const later = between.slice(3);
      for (const [index, gap] of later.entries()) {
        expect(gap).toBeGreaterThanOrEqual(2.5);
        expect(gap).toBeGreaterThan(later[index - 1] ?? between[2] ?? 0);
      }
      expect(await read(station, TOKEN)).toMatchObject({
        status: 200,
        value: before.kept.value,
        seq: 1,
        state: 'due',
      });
      expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    },
  );

  it('is a warning while a live value is served, and counted in the status', async () => {
    station = await platformBeforeRefresh();
    station.simulator.addFault({ api: API, times: 2, fault: { type: 'errcode', errcode: -1 } });
    await station.pass(MINUTE + 1_000);
    expect(logged(station, FAILED, TOKEN.kind)[0]).toMatchObject({ level: 'warn', failures: 1 });
    expect(logged(station, NEEDS_PERSON)).toEqual([]);
    const { credential, problems } = await statusOf(station, TOKEN);
    expect(credential).toMatchObject({
      failures_in_a_row: 1,
      last_error: { class: 'retry', errcode: -1 },
    });
    expect(problems).toMatchObject([{ code: 'credential_refresh_failing' }]);
  });

  it('heals within five seconds when WeChat is busy once', async () => {
    station = await platformBeforeRefresh();
    const before = await stored(station, TOKEN);
    station.simulator.addFault({ api: API, fault: { type: 'errcode', errcode: -1 } });
    await station.pass(MINUTE);
    expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    await station.pass(5_000);
    const after = await stored(station, TOKEN);
    expect(after).toMatchObject({ failures: 0, locked: false, kept: { seq: '2' } });
    expect(after.kept.mirror).toBe(station.simulator.latestMint(TOKEN.kind)?.value);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect((await statusOf(station, TOKEN)).problems).toEqual([]);
  });
});

describe.each([40125, 41004, 40013])('row 39: a setting is wrong (errcode %d)', (errcode) => {
  let station: TestPlatform;
  let since: number;
  beforeEach(async () => {
    station = await platformBeforeRefresh();
    since = station.clock.now() + MINUTE;
    station.simulator.addFault({ api: API, times: 'forever', fault: { type: 'errcode', errcode } });
  });
  afterEach(() => station.close());

  it('is tried every ten minutes only, however many readers ask', async () => {
    for (let minute = 0; minute < 45; minute += 1) {
      await station.pass(MINUTE);
      await read(station, TOKEN);
    }
    const calls = callsSince(station, API, since);
    expect(calls).toHaveLength(6);
    // Once more within a minute, in case that the refusal passes.
    const [first, ...others] = gaps(calls);
    expect(first).toBeGreaterThanOrEqual(20);
    expect(first).toBeLessThanOrEqual(60);
    for (const gap of others) {
      expect(gap).toBeGreaterThanOrEqual(600);
      expect(gap).toBeLessThanOrEqual(601);
    }
    const lines = logged(station, NEEDS_PERSON, TOKEN.kind);
    expect(lines).toHaveLength(6);
    expect(lines.every(({ level }) => level === 'error')).toBe(true);
    expect(lines[0]).toMatchObject({ failure: { errcode, class: 'config' } });
  });

  it('serves the old value until it expires, then says what to do', async () => {
    const before = await stored(station, TOKEN);
    await station.pass(11 * MINUTE - 1);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, value: before.kept.value });
    expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    await station.pass(1);
    const refused = await read(station, TOKEN);
    expect(refused).toMatchObject({ status: 503, error: { code: 'wechat_refused' } });
    expect(refused.value).toBeUndefined();
    const { credential, problems } = await statusOf(station, TOKEN);
    expect(credential).toMatchObject({ state: 'expired', last_error: { errcode } });
    const advice = credential.last_error?.advice ?? '';
    const code = errcode === 40013 ? 'credential_dead' : 'secret_refused';
    expect(advice).toMatch(/COMPONENT_APP(SECRET|ID)/);
    expect(refused.error?.message).toContain(advice);
    expect(problems).toEqual(
      expect.arrayContaining([expect.objectContaining({ severity: 'critical', code, advice })]),
    );
    expect(refused.retryAfter).toBeGreaterThan(0);
    expect(refused.retryAfter).toBeLessThanOrEqual(600);
  });

  it('heals by itself within ten minutes after the setting was corrected', async () => {
    await station.pass(5 * MINUTE);
    station.simulator.clearFaults();
    await station.pass(7 * MINUTE);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect(await stored(station, TOKEN)).toMatchObject({ failures: 0, locked: false });
  });

  it('heals at once when a process starts with the corrected setting', async () => {
    await station.pass(5 * MINUTE);
    station.simulator.clearFaults();
    await station.addReplica();
    await station.settle();
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
  });
});

describe('row 41: the address is not on the IP whitelist (errcode 61004)', () => {
  let station: TestPlatform;
  afterEach(() => station.close());

  it('shows the address that WeChat saw, and what to do with it', async () => {
    station = await platformBeforeRefresh();
    const before = await stored(station, TOKEN);
    const errmsg =
      'access clientip is not registered requestIP: 203.0.113.7 rid: 6f3a1b2c-0a0b0c0d';
    station.simulator.addFault({
      api: API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 61004, errmsg },
    });
    await station.pass(2 * MINUTE);
    const { credential } = await statusOf(station, TOKEN);
    expect(credential.last_error).toMatchObject({ class: 'config', errcode: 61004 });
    expect(credential.last_error?.message).toContain('203.0.113.7');
    expect(credential.last_error?.advice).toContain('whitelist');
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1 });
    expect(await stored(station, TOKEN)).toEqual({ ...before, failures: 2 });
    const [line] = logged(station, NEEDS_PERSON, TOKEN.kind);
    expect(line?.level).toBe('error');
    expect(JSON.stringify(line)).toContain('203.0.113.7');

    await station.pass(10 * MINUTE);
    const refused = await read(station, TOKEN);
    expect(refused).toMatchObject({ status: 503, error: { code: 'wechat_refused' } });
    expect(refused.error?.message).toContain('203.0.113.7');
    expect(refused.error?.message).toContain('whitelist');

    station.simulator.clearFaults();
    await station.pass(10 * MINUTE);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect(await stored(station, TOKEN)).toMatchObject({ failures: 0, locked: false });
  });
});
