import { expect } from 'vitest';
import { CALL_DEADLINE_MS } from '../../src/wechat/client.ts';
import { TOKEN } from './liveness.ts';
import { stored } from './observe.ts';
import { createStation, MINUTE, type Station, type StationOptions } from './platform.ts';

/** How the stories of single faults begin, go on and end. */

/** Messages of the log that many stories wait for. */
export const FAILED = 'refresh failed, trying again';
export const NEEDS_PERSON = 'refresh failed: a person should look';
export const REFRESHED = 'credential refreshed';

export const MINT_API = 'api_component_token';

/**
 * A station whose token has been fresh for 109 minutes: the next tick, at 110, finds it due. Tickets
 * came often enough for nobody to ask WeChat for them.
 */
export async function stationBeforeRefresh(options: StationOptions = {}): Promise<Station> {
  const station = await createStation(options);
  for (let pushes = 0; pushes < 6; pushes += 1) {
    await station.simulator.pushTicket();
    await station.settle();
    await station.skip(pushes < 5 ? 20 * MINUTE : 9 * MINUTE);
  }
  return station;
}

/**
 * Lets time pass while calls to WeChat may hang: goes on as soon as all that is left to wait for is
 * a call that only time can end.
 */
export async function passUnanswered(station: Station, ms: number): Promise<void> {
  const { clock, simulator } = station;
  const hangs = () =>
    simulator.ledger.calls.some(
      ({ fault, at }) =>
        (fault === 'hang' || fault === 'drip') && at + CALL_DEADLINE_MS > clock.now(),
    );
  const settle = async () => {
    const work = { settled: false };
    void station.settle().then(() => (work.settled = true));
    while (!work.settled && !hangs()) await new Promise(setImmediate);
  };
  await clock.advance(ms, settle);
  await settle();
}

/** Seconds until the stored value is another one than `seq`, one by one, and `limit` at most. */
export async function secondsUntilRenewed(
  station: Station,
  seq: string | undefined,
  limit: number,
): Promise<number> {
  for (let second = 1; second <= limit; second += 1) {
    await passUnanswered(station, 1_000);
    const { kept } = await stored(station, TOKEN);
    if (kept.seq !== seq) return second;
  }
  throw new Error(`nothing was renewed within ${limit} s`);
}

/** How every story ends: WeChat's newest value is what everybody gets, and nothing is left open. */
export async function expectHealed(station: Station): Promise<void> {
  const newest = station.simulator.latestMint(TOKEN.kind)?.value;
  const hash = await station.redis.hgetall(station.keys.record(TOKEN));
  expect(hash).toMatchObject({ value: newest, failures: '0' });
  for (const field of ['lock_op', 'intents', 'suspect', 'retry_at']) {
    expect(hash).not.toHaveProperty(field);
  }
  expect(await station.redis.get(station.keys.mirror(TOKEN))).toBe(newest);
  expect(station.simulator.isLive(TOKEN.kind, newest ?? '')).toBe(true);
}
