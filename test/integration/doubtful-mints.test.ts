import { afterEach, describe, expect, it } from 'vitest';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, stored } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';

/** WeChat may have minted without our hearing of it, and the last minted token kills the others. */
describe('a mint of which not everything is known', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  const push = async () => {
    await platform.simulator.pushTicket();
    await platform.settle();
  };
  const tokenMints = () =>
    platform.simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;

  it('is settled by one more when an earlier host may have minted too, and by no further one', async () => {
    platform = await createTestPlatform({ simulator: { hosts: 2 } });
    const { simulator, clock } = platform;
    simulator.addFault({
      api: 'api_component_token',
      host: 0,
      afterMint: true,
      fault: { type: 'status', status: 502 },
    });
    const since = clock.now();
    await push();
    expect(tokenMints()).toBe(2);
    const first = await stored(platform, TOKEN);
    expect(first).toMatchObject({ suspect: true, failures: 0, kept: { seq: '1' } });
    const [line] = logged(
      platform,
      'an earlier host may have minted too; one more mint settles it',
      TOKEN.kind,
    );
    expect(line?.level).toBe('warn');

    // What the first host was asked for may still be executing.
    await platform.pass(9_999);
    expect(tokenMints()).toBe(2);
    await platform.pass(1_001);
    expect(callsSince(platform, 'api_component_token', since)).toHaveLength(3);
    const settled = await stored(platform, TOKEN);
    expect(settled).toMatchObject({ suspect: false, locked: false, kept: { seq: '2' } });
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: simulator.latestMint(TOKEN.kind)?.value,
      state: 'fresh',
    });
    await platform.pass(5 * MINUTE);
    await platform.skip(85 * MINUTE);
    expect(tokenMints()).toBe(3);
  });

  it('is no reason to mint for ever while the first host goes on failing', async () => {
    platform = await createTestPlatform({ simulator: { hosts: 2 } });
    const { simulator } = platform;
    simulator.addFault({
      api: 'api_component_token',
      host: 0,
      times: 'forever',
      fault: { type: 'status', status: 502 },
    });
    await push();
    for (let minute = 0; minute < 60; minute += 1) {
      await platform.pass(MINUTE);
      expect((await read(platform, TOKEN)).status).toBe(200);
      const { kept } = await stored(platform, TOKEN);
      expect(simulator.isLive(TOKEN.kind, kept.mirror ?? '')).toBe(true);
    }
    // Six an hour is what a credential may cost at the worst.
    expect(tokenMints()).toBeLessThanOrEqual(6);
  });

  it('counts the life of a token from before the call, so that it never outlives what WeChat says', async () => {
    platform = await createTestPlatform();
    const { simulator, clock, redis, keys } = platform;
    const fault = { type: 'delay', ms: 5_000 } as const;
    simulator.addFault({ api: 'api_component_token', afterMint: true, fault });
    const pushed = simulator.pushTicket();
    await expect.poll(tokenMints, { timeout: 20_000 }).toBe(1);
    await clock.advance(5_000);
    await pushed;
    await platform.settle();
    const expiresAt = simulator.latestMint(TOKEN.kind)?.expiresAt;
    expect((await stored(platform, TOKEN)).kept.expires_at).toBe(String(expiresAt));
    // Redis counts on its own clock; more than the rest of the life it was not given.
    expect(await redis.pttl(keys.mirror(TOKEN))).toBeLessThanOrEqual(7_195_000);
    expect(await read(platform, TOKEN)).toMatchObject({ expires_in: 7_195 });
  });

  it('makes nobody doubt a pre_auth_code: a lost one does not end another', async () => {
    platform = await createTestPlatform();
    const { simulator, clock } = platform;
    simulator.addFault({
      api: 'api_create_preauthcode',
      afterMint: true,
      fault: { type: 'truncate' },
    });
    const since = clock.now();
    await push();
    expect(await stored(platform, CODE)).toMatchObject({ suspect: false, failures: 1 });
    await platform.pass(6_000);
    const calls = callsSince(platform, 'api_create_preauthcode', since);
    expect(calls).toHaveLength(2);
    expect(gaps(calls)[0]).toBeLessThanOrEqual(6);
    expect(await stored(platform, CODE)).toMatchObject({ suspect: false, kept: { seq: '1' } });
  });

  it('makes everybody doubt a token: it is served, and another one follows ten seconds later', async () => {
    platform = await createTestPlatform();
    const { simulator, clock } = platform;
    await push();
    await platform.skip(110 * MINUTE - 1_000);
    simulator.addFault({
      api: 'api_component_token',
      afterMint: true,
      fault: { type: 'truncate' },
    });
    const since = clock.now();
    await platform.pass(2_000);
    const during = await stored(platform, TOKEN);
    expect(during).toMatchObject({ suspect: true, locked: false, kept: { seq: '1' } });
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });
    await platform.pass(12_000);
    const [gap] = gaps(callsSince(platform, 'api_component_token', since));
    expect(gap).toBeGreaterThanOrEqual(10);
    expect(await stored(platform, TOKEN)).toMatchObject({ suspect: false, kept: { seq: '2' } });
    const mirror = await platform.redis.get(platform.keys.mirror(TOKEN));
    expect(simulator.isLive(TOKEN.kind, mirror ?? '')).toBe(true);
  });
});
