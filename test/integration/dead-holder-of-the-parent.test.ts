import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beginMint, LEASE_MS } from '../../src/store/credentials/mint.ts';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { callsSince, stored } from '../kit/observe.ts';
import { MINUTE, type TestPlatform } from '../kit/platform.ts';
import { platformBeforeRefresh } from '../kit/scenario.ts';
import { passUntilAnswered } from '../kit/waiting.ts';

const CREATE = 'api_create_preauthcode';

/** A replica began to renew the component_access_token inside its window, and was never heard of again. */
describe('row 26: the holder of the token is killed while visitors ask for codes', () => {
  let station: TestPlatform;
  let begunAt: number;
  beforeEach(async () => {
    station = await platformBeforeRefresh();
    const { redis, keys, clock, store } = station;
    const { expires_at, seq } = await redis.hgetall(keys.record(TOKEN));
    await station.pass(Number(expires_at) - clock.now() - 15 * MINUTE + 1_000);
    begunAt = clock.now();
    const begun = await beginMint(store, TOKEN, {
      operation: 'dies',
      judgedSeq: Number(seq),
      ignoreBackoff: false,
      needed: false,
      budget: { most: 30, spare: 6, dailyCalls: 0 },
    });
    expect(begun).toMatchObject({ outcome: 'granted' });
  });
  afterEach(() => station.close());

  /** Simulated seconds until the next visitor has an answer. */
  async function visit(): Promise<{ status: number; seconds: number }> {
    const { clock } = station;
    const from = clock.now();
    const visitor = station.internal(`/v1/credentials/${CODE.kind}/${CODE.subject}`);
    const answer = await passUntilAnswered(station, visitor);
    await answer.text();
    await station.settle();
    return { status: answer.status, seconds: (clock.now() - from) / 1_000 };
  }

  it('makes them wait for the lease, and after it asks with the token that lives', async () => {
    // The code that was ready.
    expect(await visit()).toEqual({ status: 200, seconds: 0 });
    expect(callsSince(station, CREATE, begunAt)).toEqual([]);
    await station.pass(begunAt + LEASE_MS - 1 - station.clock.now());
    expect(callsSince(station, CREATE, begunAt)).toEqual([]);

    await station.pass(2_000);
    while (station.clock.now() < begunAt + 55_000) {
      const { status, seconds } = await visit();
      expect(status).toBe(200);
      expect(seconds).toBeLessThanOrEqual(1);
      await station.pass(3_000);
    }
    // Meanwhile nobody knows whether the dead one has renewed it; then somebody does.
    expect(await stored(station, TOKEN)).toMatchObject({ kept: { seq: '1' } });
    await station.pass(20_000);
    expect(await stored(station, TOKEN)).toMatchObject({ kept: { seq: '2' } });
    await station.pass(MINUTE);
    await expectHealed(station);
  });
});
