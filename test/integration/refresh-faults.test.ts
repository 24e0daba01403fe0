import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { FAILED, NEEDS_PERSON } from '../kit/scenario.ts';

const API = 'api_component_token';

/** A platform whose token has been fresh for 109 minutes: the next tick, at 110, finds it due. */
async function platformBeforeRefresh(random?: () => number): Promise<TestPlatform> {
  const platform = await createTestPlatform(random === undefined ? {} : { random });
  await platform.simulator.pushTicket();
  await platform.settle();
  await platform.skip(100 * MINUTE);
  await platform.simulator.pushTicket();
  await platform.settle();
  await platform.skip(9 * MINUTE);
  return platform;
}

describe('row 37: WeChat says that it is busy (errcode -1)', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it.each([0, 0.5, 0.999])(
    'tries three times quickly, then with a growing back-off, and serves the old value (luck %d)',
    async (luck) => {
      platform = await platformBeforeRefresh(() => luck);
      const before = await stored(platform, TOKEN);
      const since = platform.clock.now();
      platform.simulator.addFault({
        api: API,
        times: 'forever',
        fault: { type: 'errcode', errcode: -1 },
      });
      await platform.pass(5 * MINUTE);

      const between = gaps(callsSince(platform, API, since));
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
      expect(await read(platform, TOKEN)).toMatchObject({
        status: 200,
        value: before.kept.value,
        seq: 1,
        state: 'due',
      });
      expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    },
  );

  it('is a warning while a live value is served, and counted in the status', async () => {
    platform = await platformBeforeRefresh();
    platform.simulator.addFault({ api: API, times: 2, fault: { type: 'errcode', errcode: -1 } });
    await platform.pass(MINUTE + 1_000);
    expect(logged(platform, FAILED, TOKEN.kind)[0]).toMatchObject({ level: 'warn', failures: 1 });
    expect(logged(platform, NEEDS_PERSON)).toEqual([]);
    const { credential, problems } = await statusOf(platform, TOKEN);
    expect(credential).toMatchObject({
      failures_in_a_row: 1,
      last_error: { class: 'retry', errcode: -1 },
    });
    expect(problems).toMatchObject([{ code: 'credential_refresh_failing' }]);
  });

  it('heals within five seconds when WeChat is busy once', async () => {
    platform = await platformBeforeRefresh();
    const before = await stored(platform, TOKEN);
    platform.simulator.addFault({ api: API, fault: { type: 'errcode', errcode: -1 } });
    await platform.pass(MINUTE);
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    await platform.pass(5_000);
    const after = await stored(platform, TOKEN);
    expect(after).toMatchObject({ failures: 0, locked: false, kept: { seq: '2' } });
    expect(after.kept.mirror).toBe(platform.simulator.latestMint(TOKEN.kind)?.value);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
  });
});

describe.each([40125, 41004, 40013])('row 39: a setting is wrong (errcode %d)', (errcode) => {
  let platform: TestPlatform;
  let since: number;
  beforeEach(async () => {
    platform = await platformBeforeRefresh();
    since = platform.clock.now() + MINUTE;
    platform.simulator.addFault({
      api: API,
      times: 'forever',
      fault: { type: 'errcode', errcode },
    });
  });
  afterEach(() => platform.close());

  it('is tried every ten minutes only, however many readers ask', async () => {
    for (let minute = 0; minute < 45; minute += 1) {
      await platform.pass(MINUTE);
      await read(platform, TOKEN);
    }
    const calls = callsSince(platform, API, since);
    expect(calls).toHaveLength(6);
    // Once more within a minute, in case that the refusal passes.
    const [first, ...others] = gaps(calls);
    expect(first).toBeGreaterThanOrEqual(20);
    expect(first).toBeLessThanOrEqual(60);
    for (const gap of others) {
      expect(gap).toBeGreaterThanOrEqual(600);
      expect(gap).toBeLessThanOrEqual(601);
    }
    const lines = logged(platform, NEEDS_PERSON, TOKEN.kind);
    expect(lines).toHaveLength(6);
    expect(lines.every(({ level }) => level === 'error')).toBe(true);
    expect(lines[0]).toMatchObject({ failure: { errcode, class: 'config' } });
  });

  it('serves the old value until it expires, then says what to do', async () => {
    const before = await stored(platform, TOKEN);
    await platform.pass(11 * MINUTE - 1);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: before.kept.value });
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    await platform.pass(1);
    const refused = await read(platform, TOKEN);
    expect(refused).toMatchObject({ status: 503, error: { code: 'wechat_refused' } });
    expect(refused.value).toBeUndefined();
    const { credential, problems } = await statusOf(platform, TOKEN);
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
    await platform.pass(5 * MINUTE);
    platform.simulator.clearFaults();
    await platform.pass(7 * MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect(await stored(platform, TOKEN)).toMatchObject({ failures: 0, locked: false });
  });

  it('heals at once when a process starts with the corrected setting', async () => {
    await platform.pass(5 * MINUTE);
    platform.simulator.clearFaults();
    await platform.addReplica();
    await platform.settle();
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
  });
});

describe('row 41: the address is not on the IP whitelist (errcode 61004)', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it('shows the address that WeChat saw, and what to do with it', async () => {
    platform = await platformBeforeRefresh();
    const before = await stored(platform, TOKEN);
    const errmsg =
      'access clientip is not registered requestIP: 203.0.113.7 rid: 6f3a1b2c-0a0b0c0d';
    platform.simulator.addFault({
      api: API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 61004, errmsg },
    });
    await platform.pass(2 * MINUTE);
    const { credential } = await statusOf(platform, TOKEN);
    expect(credential.last_error).toMatchObject({ class: 'config', errcode: 61004 });
    expect(credential.last_error?.message).toContain('203.0.113.7');
    expect(credential.last_error?.advice).toContain('whitelist');
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 });
    expect(await stored(platform, TOKEN)).toEqual({ ...before, failures: 2 });
    const [line] = logged(platform, NEEDS_PERSON, TOKEN.kind);
    expect(line?.level).toBe('error');
    expect(JSON.stringify(line)).toContain('203.0.113.7');

    await platform.pass(10 * MINUTE);
    const refused = await read(platform, TOKEN);
    expect(refused).toMatchObject({ status: 503, error: { code: 'wechat_refused' } });
    expect(refused.error?.message).toContain('203.0.113.7');
    expect(refused.error?.message).toContain('whitelist');

    platform.simulator.clearFaults();
    await platform.pass(10 * MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect(await stored(platform, TOKEN)).toMatchObject({ failures: 0, locked: false });
  });
});
