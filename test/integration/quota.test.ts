import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorize, AUTHORIZED, AUTHORIZER_API } from '../kit/authorizers.ts';
import { CLOCK_START } from '../kit/clock.ts';
import { admitPlatform } from '../kit/doctor.ts';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import { MINT_API, NEEDS_PERSON, platformBeforeRefresh } from '../kit/scenario.ts';
import { quota, readQuotaFlags } from '../../src/commands/doctor/quota.ts';
import { mergeAuthorizer } from '../../src/store/authorizers/profile.ts';

const COMPLAINT = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ seq: 1, errcode: 40001 }),
};

describe('row 40: the quota of calls is used up (errcode 45009)', () => {
  let platform: TestPlatform;
  /** The moment of the tick that finds the token due. */
  let since: number;
  beforeEach(async () => {
    platform = await platformBeforeRefresh();
    since = platform.clock.now() + MINUTE;
    platform.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 45009 },
    });
  });
  afterEach(() => platform.close());

  it('is tried every 5 to 10 minutes, whoever asks and whoever complains', async () => {
    for (let minute = 0; minute < 125; minute += 1) {
      await platform.pass(MINUTE);
      await read(platform, TOKEN);
      if (minute === 5)
        await platform.internal(
          `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}/rejected`,
          COMPLAINT,
        );
    }
    const calls = callsSince(platform, MINT_API, since);
    // At the tick, when the value ends ten minutes later, and from then on.
    expect(calls.slice(0, 2)).toEqual([0, expect.closeTo(600, -1)]);
    for (const gap of gaps(calls)) {
      expect(gap).toBeGreaterThanOrEqual(300);
      expect(gap).toBeLessThanOrEqual(602);
    }
    expect(calls.length).toBeLessThanOrEqual(25);
    const lines = logged(platform, NEEDS_PERSON, TOKEN.kind);
    expect(lines).toHaveLength(calls.length);
    expect(lines[0]).toMatchObject({
      level: 'error',
      failure: { class: 'quota', errcode: 45009 },
      next_try_at: new Date(since + 10 * MINUTE).toISOString(),
    });
  });

  it('serves the old value to its end, then says how to clear the quota', async () => {
    const before = await stored(platform, TOKEN);
    await platform.pass(11 * MINUTE - 1);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: before.kept.value,
      source: 'redis',
    });
    expect(await stored(platform, TOKEN)).toEqual({ ...before, failures: 1 });
    await platform.pass(2_000);
    const refused = await read(platform, TOKEN);
    expect(refused).toMatchObject({ status: 503, error: { code: 'quota_exhausted' } });
    expect(refused.error?.message).toContain('clear_quota');
    expect(refused.retryAfter).toBeGreaterThan(4 * 60);
    expect(refused.retryAfter).toBeLessThanOrEqual(10 * 60);
    const { credential, problems } = await statusOf(platform, TOKEN);
    expect(credential.last_error?.advice).toContain('/cgi-bin/component/clear_quota/v2');
    expect(problems).toMatchObject([{ code: 'quota_exhausted', severity: 'critical' }]);
  });

  it('tells who complains about the value when it makes sense to ask again', async () => {
    await platform.pass(2 * MINUTE);
    const answer = await platform.internal(
      `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}/rejected`,
      COMPLAINT,
    );
    await platform.settle();
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ outcome: 'throttled', seq: 1 });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(8 * 60);
    expect(callsSince(platform, MINT_API, since)).toHaveLength(1);
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: { seq: '1' }, failures: 1 });
  });

  it('heals when the value ends, or ten minutes after there is quota again', async () => {
    await platform.pass(2 * MINUTE);
    platform.simulator.clearFaults();
    await platform.pass(8 * MINUTE);
    expect((await stored(platform, TOKEN)).kept.seq).toBe('1');
    await platform.pass(MINUTE + 2_000);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    await expectHealed(platform);
  });
});

describe('row 126: a quota that was cleared', () => {
  let platform: TestPlatform;
  beforeEach(async () => {
    platform = await createTestPlatform();
    platform.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 45009 },
    });
    await platform.simulator.pushTicket();
    await platform.settle();
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 503,
      error: { code: 'quota_exhausted' },
    });
    expect(callsSince(platform, MINT_API, 0)).toHaveLength(1);
    platform.simulator.clearFaults();
  });
  afterEach(() => platform.close());

  const force = () =>
    platform.internal(`/v1/credentials/${TOKEN.kind}/${TOKEN.subject}/refresh`, { method: 'POST' });

  it('by nobody whom we know: readers get the token within ten minutes', async () => {
    await platform.pass(5 * MINUTE - 1);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 503 });
    await platform.pass(5 * MINUTE + 2_000);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
    await expectHealed(platform);
  });

  it('and whoever forces a refresh gets the token at once', async () => {
    const answer = await force();
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ outcome: 'refreshed', seq: 1 });
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 });
    await platform.settle();
    await expectHealed(platform);
  });

  it('and whoever forces in a loop calls WeChat every ten seconds at most', async () => {
    platform.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 45009 },
    });
    for (let second = 0; second < 60; second += 1) {
      expect((await force()).status).toBe(503);
      await platform.pass(1_000);
    }
    expect(callsSince(platform, MINT_API, 0)).toHaveLength(1 + 6);
  });

  it('and a process that starts asks at once, whatever Redis says', async () => {
    await platform.addReplica();
    await platform.settle();
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 });
  });

  it('by the doctor: readers and patrols ask at once', async () => {
    const installation = await admitPlatform(platform);
    const { appid } = COMPONENT;
    const flags = readQuotaFlags(['--clear', '--confirm', appid]);
    expect(await quota(installation, flags)).toMatchObject({ well: true });
    expect(callsSince(platform, MINT_API, 0)).toHaveLength(1);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 });
    expect(callsSince(platform, MINT_API, 0)).toHaveLength(2);
    await expectHealed(platform);
  });

  it('by the doctor, and nobody reads: it is there within a round', async () => {
    const installation = await admitPlatform(platform);
    await quota(installation, readQuotaFlags(['--clear', '--confirm', COMPONENT.appid]));
    await platform.pass(15_000);
    await expectHealed(platform);
  });

  it('by midnight in Beijing: it is asked for within half a minute', async () => {
    // The clock starts at eight in the morning there.
    platform.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 45009 },
    });
    const midnight = CLOCK_START + 16 * HOUR;
    await platform.skip(midnight - platform.clock.now() - MINUTE);
    await platform.simulator.pushTicket();
    await platform.pass(MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 503 });
    platform.simulator.clearFaults();
    await platform.pass(32_000);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 });
  });
});

describe("row 126: the quota of an authorizer's token", () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it('is asked about as often, and at once after the doctor cleared it', async () => {
    platform = await createTestPlatform({ ticket: true });
    platform.simulator.addFault({
      api: AUTHORIZER_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 45009 },
    });
    await authorize(platform);
    await mergeAuthorizer(platform.store, COMPONENT.appid, AUTHORIZER, { state: 'authorized' });
    expect(await read(platform, AUTHORIZED)).toMatchObject({ error: { code: 'quota_exhausted' } });
    await platform.pass(11 * MINUTE);
    const before = callsSince(platform, AUTHORIZER_API, 0);
    expect(before.length).toBeGreaterThanOrEqual(2);
    platform.simulator.clearFaults();
    const installation = await admitPlatform(platform);
    await quota(installation, readQuotaFlags(['--clear', '--confirm', COMPONENT.appid]));
    await platform.pass(15_000);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, seq: 1 });
  });
});
