import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TOKEN } from '../support/liveness.ts';
import { callsSince, logged, read, statusOf, stored } from '../support/observe.ts';
import { HOUR, MINUTE, type Station } from '../support/station.ts';
import { expectHealed, MINT_API, NEEDS_PERSON, stationBeforeRefresh } from '../support/story.ts';

const COMPLAINT = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ seq: 1, errcode: 40001 }),
};

describe('row 40: the quota of calls is used up (errcode 45009)', () => {
  let station: Station;
  /** The moment of the tick that finds the token due. */
  let since: number;
  beforeEach(async () => {
    station = await stationBeforeRefresh();
    since = station.clock.now() + MINUTE;
    station.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: 45009 },
    });
  });
  afterEach(() => station.close());

  it('is tried once an hour, whoever asks and whoever complains', async () => {
    for (let minute = 0; minute < 125; minute += 1) {
      await station.pass(MINUTE);
      await read(station, TOKEN);
      if (minute === 5)
        await station.internal(
          `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}/rejected`,
          COMPLAINT,
        );
    }
    const calls = callsSince(station, MINT_API, since);
    expect(calls).toHaveLength(3);
    for (const [hour, at] of calls.entries()) {
      expect(at).toBeGreaterThanOrEqual(hour * 3_600);
      expect(at).toBeLessThanOrEqual(hour * 3_602);
    }
    const lines = logged(station, NEEDS_PERSON, TOKEN.kind);
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatchObject({
      level: 'error',
      failure: { class: 'quota', errcode: 45009 },
      next_try_at: new Date(since + HOUR).toISOString(),
    });
  });

  it('serves the old value to its end, then says how to clear the quota', async () => {
    const before = await stored(station, TOKEN);
    await station.pass(11 * MINUTE - 1);
    expect(await read(station, TOKEN)).toMatchObject({
      status: 200,
      value: before.kept.value,
      source: 'redis',
    });
    expect(await stored(station, TOKEN)).toEqual({ ...before, failures: 1 });
    await station.pass(1);
    const refused = await read(station, TOKEN);
    expect(refused).toMatchObject({ status: 503, error: { code: 'quota_exhausted' } });
    expect(refused.error?.message).toContain('clear_quota');
    expect(refused.retryAfter).toBeGreaterThan(49 * 60);
    expect(refused.retryAfter).toBeLessThanOrEqual(50 * 60);
    const { credential, problems } = await statusOf(station, TOKEN);
    expect(credential.last_error?.advice).toContain('/cgi-bin/component/clear_quota/v2');
    expect(problems).toMatchObject([{ code: 'quota_exhausted', severity: 'critical' }]);
  });

  it('tells who complains about the value when it makes sense to ask again', async () => {
    await station.pass(2 * MINUTE);
    const answer = await station.internal(
      `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}/rejected`,
      COMPLAINT,
    );
    await station.settle();
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ outcome: 'throttled', seq: 1 });
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(58 * 60);
    expect(callsSince(station, MINT_API, since)).toHaveLength(1);
    expect(await stored(station, TOKEN)).toMatchObject({ kept: { seq: '1' }, failures: 1 });
  });

  it('heals within the hour after there is quota again', async () => {
    await station.pass(2 * MINUTE);
    station.simulator.clearFaults();
    await station.pass(58 * MINUTE);
    expect(await read(station, TOKEN)).toMatchObject({ status: 503 });
    await station.pass(MINUTE + 1_000);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    await expectHealed(station);
  });
});
