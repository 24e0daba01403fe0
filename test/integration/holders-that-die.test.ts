import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDoomedReplica, type StoppingPoint } from '../kit/doomed-replica.ts';
import { expectHealed } from '../kit/expect.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, mintsOnTheWay, read, stored } from '../kit/observe.ts';
import { MINUTE, type TestPlatform } from '../kit/platform.ts';
import { FAILED, OVERLAPPED, platformBeforeRefresh, REFRESHED } from '../kit/scenario.ts';

let platform: TestPlatform;
afterEach(() => platform.close());

const tokenMints = () =>
  platform.simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;

/** Another replica begins to mint and stops on the way, as the only one that looks. */
async function stopOnTheWay(point: StoppingPoint) {
  const doomed = createDoomedReplica(platform, point);
  const outcome = doomed.keeper.ensureFresh(TOKEN, 'read');
  await doomed.stopped;
  return { ...doomed, outcome };
}

/** Lets `seconds` pass; counts those in which what callers got was dead at WeChat, or nothing. */
async function secondsOfOutage(seconds: number): Promise<number> {
  let outage = 0;
  for (let second = 0; second < seconds; second += 1) {
    await platform.pass(1_000);
    const { status, value } = await read(platform, TOKEN);
    if (status !== 200 || !platform.simulator.isLive(TOKEN.kind, value ?? '')) outage += 1;
  }
  return outage;
}

describe('row 22: a holder is paused between the answer and the commit, past its lock', () => {
  beforeEach(async () => {
    platform = await platformBeforeRefresh();
  });

  it('stores nothing over a newer value, and one more mint settles the order', async () => {
    const before = await stored(platform, TOKEN);
    const { wake, outcome, keeper, logs } = await stopOnTheWay('after answer');
    expect(tokenMints()).toBe(2);
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: before.kept, locked: true });
    // The others mint when the intent is over; the value that nobody stored is dead by then.
    expect(await secondsOfOutage(76)).toBeLessThanOrEqual(75);
    const newer = await stored(platform, TOKEN);
    expect(newer).toMatchObject({ suspect: false, locked: false, kept: { seq: '2' } });
    expect(tokenMints()).toBe(3);

    wake();
    expect(await outcome).toMatchObject({ did: 'locked' });
    expect(await stored(platform, TOKEN)).toEqual({ ...newer, suspect: true });
    expect(logs.filter(({ message }) => message === OVERLAPPED)).toMatchObject([
      { level: 'warn', kind: TOKEN.kind },
    ]);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'due' });
    expect(await secondsOfOutage(15)).toBe(0);
    await keeper.idle();
    await platform.settle();
    expect(tokenMints()).toBe(4);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 3, state: 'fresh' });
    await expectHealed(platform);
  });

  it('stores what it has when nobody has minted meanwhile', async () => {
    const { wake, outcome } = await stopOnTheWay('after answer');
    await platform.pass(30_000);
    wake();
    expect(await outcome).toMatchObject({ did: 'refreshed', seq: 2 });
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    // From the call on, not from the commit: WeChat has counted all the while.
    const { expires_at: expiresAt } = (await stored(platform, TOKEN)).kept;
    expect(expiresAt).toBe(String(platform.simulator.latestMint(TOKEN.kind)?.expiresAt));
    await expectHealed(platform);
    await platform.pass(75_000);
    expect(tokenMints()).toBe(2);
  });
});

describe('row 23: a holder is paused before it calls WeChat', () => {
  beforeEach(async () => {
    platform = await platformBeforeRefresh();
  });

  it('does not call when that took more than two seconds, and begins again a second later', async () => {
    const before = await stored(platform, TOKEN);
    const { wake, outcome, keeper, logs } = await stopOnTheWay('before begin returns');
    platform.clock.sleepThrough(2_001);
    wake();
    expect(await outcome).toMatchObject({ did: 'failed', error: { class: 'retry' } });
    expect(tokenMints()).toBe(1);
    expect(await stored(platform, TOKEN)).toEqual({
      kept: before.kept,
      failures: 1,
      locked: false,
      suspect: false,
    });
    expect(await mintsOnTheWay(platform, TOKEN)).toBe(0);
    expect(logs.filter(({ message }) => message === FAILED)).toMatchObject([
      { level: 'warn', failure: { message: 'the process was paused before the call' } },
    ]);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });

    await platform.pass(1_200);
    await keeper.idle();
    expect(tokenMints()).toBe(2);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    await expectHealed(platform);
  });

  it('calls when it took no more than that', async () => {
    const { wake, outcome } = await stopOnTheWay('before begin returns');
    platform.clock.sleepThrough(2_000);
    wake();
    expect(await outcome).toMatchObject({ did: 'refreshed', seq: 2 });
    await expectHealed(platform);
  });

  it('heals within a patrol when it stood still behind that check and kills the newer value', async () => {
    const { wake, outcome, keeper, logs } = await stopOnTheWay('before send');
    expect(await secondsOfOutage(76)).toBe(0);
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: { seq: '2' } });
    wake();
    await outcome;
    await keeper.idle();
    expect(logs.filter(({ message }) => message === OVERLAPPED)).toMatchObject([{ level: 'warn' }]);
    expect(await secondsOfOutage(16)).toBeLessThanOrEqual(15);
    await keeper.idle();
    await platform.settle();
    // One of the holder, one of the others, one that settles it.
    expect(tokenMints()).toBe(4);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, state: 'fresh' });
    await expectHealed(platform);
  });
});

describe.each([
  { row: 24, name: 'between the answer and the commit', point: 'after answer', lost: 1 },
  { row: 26, name: 'before the call is sent', point: 'before send', lost: 0 },
] as const)('row $row: a holder is killed $name', ({ point, lost }) => {
  it('leaves an intent, after which one more mint heals it within 75 seconds', async () => {
    platform = await platformBeforeRefresh();
    const before = await stored(platform, TOKEN);
    await stopOnTheWay(point);
    expect(tokenMints()).toBe(1 + lost);
    expect(await mintsOnTheWay(platform, TOKEN)).toBe(1);
    // As long as the intent stands, nobody mints: the lock alone is over after 20 seconds.
    await secondsOfOutage(59);
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: before.kept, failures: 0 });
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });
    expect(tokenMints()).toBe(1 + lost);

    await secondsOfOutage(16);
    expect(tokenMints()).toBe(2 + lost);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
    expect(logged(platform, REFRESHED, TOKEN.kind).at(-1)).toMatchObject({
      level: 'info',
      seq: 2,
      reason: expect.stringMatching(/:order_unknown$/) as string,
    });
    expect(logged(platform, FAILED)).toEqual([]);
    await expectHealed(platform);
    await platform.pass(5 * MINUTE);
    await platform.skip(85 * MINUTE);
    expect(tokenMints()).toBe(2 + lost);
  });

  it('is not waited for longer than its lock when the value is about to die', async () => {
    platform = await platformBeforeRefresh();
    // Nobody can mint until five minutes before the end, when only the doomed one looks.
    platform.simulator.addFault({
      api: 'api_component_token',
      times: 'forever',
      fault: { type: 'errcode', errcode: 40125 },
    });
    // Refused at the tick, and once more within a minute.
    await platform.pass(2 * MINUTE);
    platform.simulator.clearFaults();
    await platform.pass(5 * MINUTE);
    await platform.redis.hdel(platform.keys.record(TOKEN), 'retry_at');
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: { seq: '1' } });
    await stopOnTheWay(point);
    // What is read in the very second of the next mint is dead a moment later.
    expect(await secondsOfOutage(36)).toBeLessThanOrEqual(lost === 0 ? 1 : 35);
    expect(tokenMints()).toBe(2 + lost);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
  });
});
