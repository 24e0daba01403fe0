import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CODE, mintIntervals, TOKEN } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { FAILED } from '../kit/scenario.ts';

const CREATE = 'api_create_preauthcode';

/** WeChat says that the token is dead which a pre_auth_code is asked for with. */
describe('row 38: WeChat calls the component_access_token dead', () => {
  let platform: TestPlatform;
  beforeEach(async () => {
    platform = await createTestPlatform();
  });
  afterEach(() => platform.close());

  async function firstPush(): Promise<void> {
    await platform.simulator.pushTicket();
    await platform.settle();
  }
  const tokenMints = () =>
    platform.simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;

  it.each([40001, 40014, 42001])(
    'renews it once and has the code in the same look (errcode %d)',
    async (errcode) => {
      const { simulator, clock } = platform;
      await firstPush();
      await platform.skip(20 * MINUTE - 1);
      simulator.addFault({ api: CREATE, fault: { type: 'errcode', errcode } });
      const since = clock.now() + 1;
      const old = await stored(platform, CODE);
      await platform.pass(1);

      expect(callsSince(platform, CREATE, since)).toEqual([0, 0]);
      expect(callsSince(platform, 'api_component_token', since)).toEqual([0]);
      expect(tokenMints()).toBe(2);
      const code = await stored(platform, CODE);
      expect(code).toMatchObject({ failures: 0, locked: false, kept: { seq: '2' } });
      expect(code.kept.value).not.toBe(old.kept.value);
      expect(simulator.isLive(CODE.kind, code.kept.mirror ?? '')).toBe(true);
      expect((await stored(platform, TOKEN)).kept.mirror).toBe(
        simulator.latestMint(TOKEN.kind)?.value,
      );
      expect(logged(platform, FAILED, CODE.kind)).toMatchObject([
        { level: 'warn', failure: { errcode, class: 'token' } },
      ]);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
      expect(await read(platform, CODE)).toMatchObject({ status: 200, value: code.kept.value });
      expect((await statusOf(platform, CODE)).credential.failures_in_a_row).toBe(0);
    },
  );

  it('does not renew one that is younger than a minute, and asks again with it', async () => {
    const { simulator } = platform;
    simulator.addFault({ api: CREATE, fault: { type: 'errcode', errcode: 40001 } });
    await firstPush();
    expect(tokenMints()).toBe(1);
    expect(await stored(platform, CODE)).toMatchObject({ failures: 1, kept: { mirror: null } });
    const refused = await read(platform, CODE);
    expect(refused).toMatchObject({ status: 503, error: { code: 'wechat_unavailable' } });
    expect(refused.retryAfter).toBeLessThanOrEqual(5);
    await platform.pass(6_000);
    expect(tokenMints()).toBe(1);
    expect(await read(platform, CODE)).toMatchObject({ status: 200, seq: 1 });
  });

  it('mints no storm of tokens when WeChat says so for ever', async () => {
    const { simulator, clock } = platform;
    await firstPush();
    await platform.skip(19 * MINUTE);
    simulator.addFault({
      api: CREATE,
      times: 'forever',
      fault: { type: 'errcode', errcode: 40001 },
    });
    const since = clock.now();
    const before = tokenMints();
    for (let minute = 0; minute < 30; minute += 1) {
      await platform.pass(MINUTE);
      expect((await read(platform, TOKEN)).status).toBe(200);
      await read(platform, CODE);
    }
    const minted = tokenMints() - before;
    expect(minted).toBeGreaterThan(0);
    expect(minted).toBeLessThanOrEqual(30);
    for (const seconds of mintIntervals(platform, TOKEN.kind)) {
      expect(seconds).toBeGreaterThanOrEqual(60);
    }
    // Each renewal asks once more in the same moment; otherwise there is a pause.
    const calls = callsSince(platform, CREATE, since);
    expect(calls.length).toBeLessThanOrEqual(30 * 8 + minted);
    const pauses = gaps([...new Set(calls)]);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(2.5);
    expect(logged(platform, 'refresh failed: a person should look', CODE.kind)).not.toEqual([]);

    simulator.clearFaults();
    await platform.pass(16_000);
    expect(await read(platform, CODE)).toMatchObject({ status: 200, seq: 2 });
  });

  it.each([
    { errcode: 40125, why: 'the AppSecret is wrong', pause: 600 },
    { errcode: 45009, why: 'the quota is used up', pause: 3_600 },
  ])('still waits $pause s between tries to renew it when $why', async ({ errcode, pause }) => {
    const { simulator, clock } = platform;
    await firstPush();
    await platform.skip(19 * MINUTE);
    simulator.addFault({
      api: CREATE,
      times: 'forever',
      fault: { type: 'errcode', errcode: 40001 },
    });
    simulator.addFault({
      api: 'api_component_token',
      times: 'forever',
      fault: { type: 'errcode', errcode },
    });
    const since = clock.now();
    await platform.pass(30 * MINUTE);
    const calls = callsSince(platform, 'api_component_token', since);
    expect(calls.length).toBeGreaterThan(0);
    // Once more within a minute, since a refusal may pass.
    const [first = pause, ...later] = gaps(calls);
    expect(first).toBeGreaterThanOrEqual(Math.min(pause, 30));
    for (const gap of later) expect(gap).toBeGreaterThanOrEqual(pause);
  });
});
