import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StatusSnapshot } from '../../src/status/schema.ts';
import { createManualClock } from '../kit/clock.ts';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { logged, read } from '../kit/observe.ts';
import {
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { post } from '../kit/public-listener.ts';
import { encryptPush, ticketXml } from '../kit/push-envelope.ts';
import { ticketMirror, tokenMints } from '../kit/redis-trouble.ts';
import { MINT_API, platformBeforeRefresh } from '../kit/scenario.ts';

const DIFFER = 'clocks differ by more than a minute: check NTP here and at Redis';
const AGREE = 'clocks agree again';

let platform: TestPlatform;
afterEach(() => platform.close());

async function skewProblem() {
  const answer = await platform.internal('/status');
  const { problems } = (await answer.json()) as { problems: { code: string; advice: string }[] };
  return problems.find(({ code }) => code === 'clock_skew');
}

/** Minute by minute: what callers get is live at WeChat at that moment. */
async function expectLiveFor(ms: number, wechatNow: () => number): Promise<void> {
  const { simulator } = platform;
  for (let passed = 0; passed < ms; passed += MINUTE) {
    const { status, value, expires_in: left } = await read(platform, TOKEN);
    expect(status).toBe(200);
    // Just minted, or live until right behind the answer, when one that is due may be replaced.
    const moments = [wechatNow(), wechatNow() - 1];
    expect(moments.some((at) => simulator.isLive(TOKEN.kind, value ?? '', at))).toBe(true);
    expect(left).toBeLessThanOrEqual(7_200);
    await platform.pass(MINUTE);
  }
}

describe.each([
  { row: 64, what: 'forward', ms: HOUR },
  { row: 65, what: 'back', ms: -HOUR },
])('row $row: the clock of the process jumps $what by an hour', ({ ms }) => {
  it('changes no refresh, since Redis keeps the time, and a person is told', async () => {
    // WeChat's clock and Redis's are right.
    const clock = createManualClock();
    const wechatNow = () => clock.simulatedStoreNow();
    platform = await platformBeforeRefresh({
      clock,
      simulator: { clock: { ...clock, now: wechatNow } },
    });
    clock.jumpWallClock(ms);
    await expectLiveFor(2 * HOUR, wechatNow);
    // At 110 minutes and at 220, as without the jump.
    expect(tokenMints(platform)).toBe(3);
    expect(logged(platform, DIFFER)).toMatchObject([
      { level: 'error', ahead_of_redis_seconds: ms / 1000 },
    ]);
    expect(logged(platform, DIFFER)).toHaveLength(1);
    expect((await skewProblem())?.advice).toContain('NTP');
    await expectHealed(platform);

    clock.jumpWallClock(-ms);
    await platform.pass(15_000);
    expect(logged(platform, AGREE)).toHaveLength(1);
    expect(await skewProblem()).toBeUndefined();
  });
});

describe('row 66: the clock of Redis jumps', () => {
  beforeEach(async () => {
    platform = await platformBeforeRefresh();
  });

  it('forward by an hour: what seems to end is minted anew, once, and nobody waits', async () => {
    platform.clock.jumpStoreClock(HOUR);
    await expectLiveFor(3 * HOUR, () => platform.clock.now());
    const { simulator, clock } = platform;
    expect(tokenMints(platform)).toBeLessThanOrEqual(3);
    expect(simulator.latestMint(TOKEN.kind)?.at).toBeGreaterThan(clock.now() - 2 * HOUR);
    expect(logged(platform, DIFFER)).toMatchObject([
      { level: 'error', ahead_of_redis_seconds: -3_600 },
    ]);
    await expectHealed(platform);
  });

  it('back by an hour: nothing is served or kept beyond its life', async () => {
    platform.clock.jumpStoreClock(-HOUR);
    await expectLiveFor(3 * HOUR, () => platform.clock.now());
    expect(tokenMints(platform)).toBeLessThanOrEqual(4);
    expect(logged(platform, DIFFER)).toHaveLength(1);
    expect(await read(platform, CODE)).toMatchObject({ status: 200 });
    await expectHealed(platform);
  });

  it('forward while a mint is under way: its lock is over, its intent is not', async () => {
    platform.simulator.addFault({ api: MINT_API, fault: { type: 'delay', ms: 3_000 } });
    await platform.clock.advance(MINUTE + 500);
    platform.clock.jumpStoreClock(30_000);
    const replica = await platform.addReplica();
    expect((await replica.keeper.ensureFresh(TOKEN, 'cron')).did).not.toBe('refreshed');
    await platform.clock.advance(3_000);
    await platform.settle();
    expect(tokenMints(platform)).toBe(2);
    await platform.pass(2 * MINUTE);
    expect(tokenMints(platform)).toBe(2);
    await expectHealed(platform);
  });
});

describe('rows 64 to 66: tickets come while a clock is wrong', () => {
  /** As WeChat sends it, whose clock is right. */
  const pushTicket = async (wechatNow: number, ticket: string) => {
    const timestamp = Math.floor(wechatNow / 1000);
    const push = encryptPush(ticketXml({ ticket, createTime: timestamp }), { timestamp });
    return post(platform, push);
  };
  const problems = async () => {
    const { problems: all } = (await (await platform.internal('/status')).json()) as StatusSnapshot;
    return all.map(({ code }) => code);
  };

  it.each([
    { whose: "Redis's clock is half a day ahead", jump: 'jumpStoreClock', ms: 13 * HOUR },
    { whose: 'our clock is half a day ahead', jump: 'jumpWallClock', ms: 13 * HOUR },
    { whose: "Redis's clock is a day behind", jump: 'jumpStoreClock', ms: -24 * HOUR },
    { whose: 'our clock is a day behind', jump: 'jumpWallClock', ms: -24 * HOUR },
  ] as const)('$whose: each is taken, and that it comes is known', async ({ jump, ms }) => {
    platform = await createTestPlatform();
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    const { clock } = platform;
    clock[jump](ms);
    const rightNow = () => (jump === 'jumpStoreClock' ? clock.now() : clock.simulatedStoreNow());
    for (let time = 0; time < 3; time += 1) {
      expect(await pushTicket(rightNow(), `ticket@@@${time}`)).toBe('200 success');
      await platform.pass(10 * MINUTE);
    }
    expect(await problems()).not.toContain('pushes_refused');
    expect(await problems()).not.toContain('ticket_silent');
    // Redis's clock is the one that credentials are judged by.
    if (jump === 'jumpWallClock') expect(await problems()).not.toContain('ticket_expired');
    expect(platform.logs.filter(({ message }) => /^no ticket push for/.test(message))).toEqual([]);

    if (jump === 'jumpWallClock') {
      await platform.pass(17 * MINUTE);
      expect(await problems()).toContain('ticket_silent');
      expect(await pushTicket(rightNow(), 'ticket@@@2')).toBe('200 success');
      await platform.pass(10 * MINUTE);
    }
    clock[jump](-ms);
    await platform.pass(MINUTE);
    expect(await ticketMirror(platform)).toBe('ticket@@@2');
    // Nor does a moment that is still ahead hide that no more of them come.
    await platform.pass(16 * MINUTE);
    expect(await problems()).toContain('ticket_silent');
  });
});
