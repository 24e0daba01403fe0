import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acceptTicket } from '../../src/store/tickets/ticket.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { callsSince, read, stored } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';

/** Besides the cron jobs: what makes the keeper look at a credential before the next tick. */
describe('a credential is looked at', () => {
  let platform: TestPlatform;
  beforeEach(async () => {
    platform = await createTestPlatform();
  });
  afterEach(() => platform.close());

  const push = async () => {
    await platform.simulator.pushTicket();
    await platform.settle();
  };
  const calls = (api: string) => callsSince(platform, api, 0).length;

  it('when a reader finds it due: it is refreshed behind the answer', async () => {
    await push();
    await platform.skip(106 * MINUTE);
    const before = await platform.redis.get(platform.keys.mirror(TOKEN));
    // `read` settles after the answer came.
    expect(await read(platform, TOKEN)).toMatchObject({ value: before, seq: 1, state: 'due' });
    expect(await read(platform, TOKEN)).toMatchObject({ seq: 2, state: 'fresh' });
    expect(calls('api_component_token')).toBe(2);
  });

  it('when it was handed out: the next visitor finds another one ready', async () => {
    await push();
    const taken = await read(platform, CODE);
    const { kept } = await stored(platform, CODE);
    expect(kept).toMatchObject({ seq: '2' });
    expect(kept.mirror).not.toBe(taken.value);
    expect(platform.simulator.isLive(CODE.kind, kept.mirror ?? '')).toBe(true);
  });

  it('when it was handed out while a look was under way that had still seen it', async () => {
    await push();
    // Where the two meet is chance.
    for (let seq = 1; seq <= 100; seq += 1) {
      const looking = platform.app.keeper.ensureFresh(CODE, 'patrol');
      expect(await read(platform, CODE)).toMatchObject({ seq });
      await looking;
      expect((await stored(platform, CODE)).kept).toMatchObject({ seq: String(seq + 1) });
    }
  });

  it('when what it is made from was renewed, by whatever reason', async () => {
    const { simulator, app, clock } = platform;
    // The ticket comes by way of another replica: nobody here is told.
    const arrived = {
      appid: COMPONENT.appid,
      ticket: simulator.issueTicket(),
      createTime: clock.now(),
      receivedAt: clock.now(),
      fingerprint: 'f',
      event: { id: '1' },
    };
    expect(await acceptTicket(platform.store, arrived)).toBe('stored');
    expect(await app.keeper.ensureFresh(TOKEN, 'read')).toMatchObject({ did: 'refreshed' });
    await platform.settle();
    expect(simulator.isLive(CODE.kind, (await stored(platform, CODE)).kept.mirror ?? '')).toBe(
      true,
    );
  });

  it('when a new ticket comes while WeChat refuses the old one', async () => {
    const { simulator } = platform;
    const refusal = { type: 'errcode', errcode: 61006 } as const;
    simulator.addFault({ api: 'api_component_token', fault: refusal });
    simulator.addFault(NO_PUSHES_ON_REQUEST);
    await push();
    // Within a minute it is asked about once more in any case.
    await platform.pass(20_000);
    expect(calls('api_component_token')).toBe(1);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 503,
      error: { code: 'ticket_expired' },
    });
    await push();
    expect(calls('api_component_token')).toBe(2);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 });
    expect(await stored(platform, CODE)).toMatchObject({ kept: { seq: '1' } });
  });

  it('but not because of a new ticket when a setting is wrong', async () => {
    platform.simulator.addFault({
      api: 'api_component_token',
      times: 'forever',
      fault: { type: 'errcode', errcode: 40125 },
    });
    await push();
    // Within a minute it is asked about once more in any case.
    await platform.pass(20_000);
    await push();
    expect(calls('api_component_token')).toBe(1);
  });

  it('never again once the service was stopped', async () => {
    const { app, clock, simulator } = platform;
    await push();
    simulator.addFault({
      api: '*',
      times: 'forever',
      fault: { type: 'errcode', errcode: -1 },
    });
    await platform.skip(111 * MINUTE);
    const made = simulator.ledger.calls.length;
    expect(clock.pendingTimers()).toBeGreaterThan(0);
    await app.stop();
    expect(clock.pendingTimers()).toBe(0);
    await clock.advance(3 * HOUR);
    expect(await app.keeper.ensureFresh(TOKEN, 'read')).toMatchObject({
      did: 'blocked',
      error: { code: 'stopping', retryAfterSeconds: 1 },
    });
    expect(simulator.ledger.calls).toHaveLength(made);
  });
});
