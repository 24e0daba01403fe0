import { afterEach, describe, expect, it } from 'vitest';
import { mean, mintIntervals, watchMirrors } from '../kit/liveness.ts';
import { createTestPlatform, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';

/**
 * The measurement this service is judged by: a night of 15 h 4 min with a push every ten minutes.
 * Done by hand from log files, refreshing on each push gave intervals of at most 115 and 25 minutes.
 */
const NIGHT_SECONDS = (15 * HOUR + 4 * MINUTE) / 1000;

describe('a night of 15 hours and 4 minutes', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  it('never shows a dead or missing value and refreshes at the expected distances', async () => {
    platform = await createTestPlatform();
    platform.simulator.setPushing(true);
    await platform.pass(1);
    const bad = await watchMirrors(platform, NIGHT_SECONDS);
    expect(bad).toEqual([]);

    const tokens = mintIntervals(platform, 'component_access_token');
    const codes = mintIntervals(platform, 'pre_auth_code');
    const pushes = platform.simulator.ledger.pushes;
    const minutes = (seconds: number) => (seconds / 60).toFixed(1);
    process.stdout.write(
      `pushes ${pushes.length}; component_access_token every ${minutes(mean(tokens))} min, ` +
        `longest ${minutes(Math.max(...tokens))}; pre_auth_code every ${minutes(mean(codes))} min, ` +
        `longest ${minutes(Math.max(...codes))}\n`,
    );
    expect(Math.max(...tokens)).toBeLessThanOrEqual(115 * 60);
    expect(Math.max(...codes)).toBeLessThanOrEqual(25 * 60);
    // A token every minute would pass the two lines above, and use up the quota.
    expect(Math.min(...tokens)).toBeGreaterThanOrEqual(105 * 60);
    expect(Math.min(...codes)).toBeGreaterThanOrEqual(15 * 60);
    expect(pushes).toHaveLength(91);
    expect(pushes.every((push) => push.accepted)).toBe(true);
    expect(platform.logs.filter((line) => line.level === 'error')).toEqual([]);
  });
});
