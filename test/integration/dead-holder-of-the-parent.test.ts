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
  let platform: TestPlatform;
  let begunAt: number;
  beforeEach(async () => {
    platform = await platformBeforeRefresh();
    const { redis, keys, clock, store } = platform;
    const { expires_at, seq } = await redis.hgetall(keys.record(TOKEN));
    await platform.pass(Number(expires_at) - clock.now() - 15 * MINUTE + 1_000);
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
  afterEach(() => platform.close());

  /** Simulated seconds until the next visitor has an answer. */
  async function visit(): Promise<{ status: number; seconds: number }> {
    const { clock } = platform;
    const from = clock.now();
    const visitor = platform.internal(`/v1/credentials/${CODE.kind}/${CODE.subject}`);
    const answer = await passUntilAnswered(platform, visitor);
    await answer.text();
    await platform.settle();
    return { status: answer.status, seconds: (clock.now() - from) / 1_000 };
  }

  it('makes them wait for the lease, and after it asks with the token that lives', async () => {
    // The code that was ready.
    expect(await visit()).toEqual({ status: 200, seconds: 0 });
    expect(callsSince(platform, CREATE, begunAt)).toEqual([]);
    await platform.pass(begunAt + LEASE_MS - 1 - platform.clock.now());
    expect(callsSince(platform, CREATE, begunAt)).toEqual([]);

    await platform.pass(2_000);
    while (platform.clock.now() < begunAt + 55_000) {
      const { status, seconds } = await visit();
      expect(status).toBe(200);
      expect(seconds).toBeLessThanOrEqual(1);
      await platform.pass(3_000);
    }
    // Meanwhile nobody knows whether the dead one has renewed it; then somebody does.
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: { seq: '1' } });
    await platform.pass(20_000);
    expect(await stored(platform, TOKEN)).toMatchObject({ kept: { seq: '2' } });
    await platform.pass(MINUTE);
    await expectHealed(platform);
  });
});
