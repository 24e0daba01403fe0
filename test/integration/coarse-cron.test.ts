import { afterEach, describe, expect, it } from 'vitest';
import { createManualClock } from '../kit/clock.ts';
import { CODE, mintIntervals, TOKEN, watchMirrors } from '../kit/liveness.ts';
import { createManualCron, createTestPlatform, HOUR, type TestPlatform } from '../kit/platform.ts';

/** A tick is a heartbeat: what would die before the next one is looked at in time all the same. */
describe('a credential whose life ends between two ticks', () => {
  let platform: TestPlatform;
  afterEach(() => platform.close());

  const start = async (options: Parameters<typeof createTestPlatform>[0]) => {
    platform = await createTestPlatform(options);
    platform.simulator.setPushing(true);
    await platform.pass(1);
  };

  it('is refreshed before it ends when codes live ten minutes, as in the sample of the documentation', async () => {
    await start({ simulator: { preAuthCodeSeconds: 600 } });
    expect(await watchMirrors(platform, HOUR / 1000, [CODE])).toEqual([]);
    expect(Math.min(...mintIntervals(platform, 'pre_auth_code'))).toBeGreaterThanOrEqual(300);
  });

  it('is refreshed before it ends when no expires_in comes and ten minutes are assumed', async () => {
    platform = await createTestPlatform();
    platform.simulator.addFault({
      api: 'api_component_token',
      times: 'forever',
      fault: { type: 'patch', remove: ['expires_in'] },
    });
    platform.simulator.setPushing(true);
    await platform.pass(1);
    expect(await watchMirrors(platform, (2 * HOUR) / 1000, [TOKEN])).toEqual([]);
  });

  it('is refreshed before it ends when the window is a single minute', async () => {
    await start({ env: { REFRESH_WINDOW_SECONDS: '60' } });
    expect(await watchMirrors(platform, (4 * HOUR) / 1000)).toEqual([]);
  });

  it('is refreshed before it ends when the jobs run once a day', async () => {
    const clock = createManualClock();
    await start({ clock, startCron: createManualCron(clock, 24 * HOUR) });
    platform.simulator.setPushing(false);
    expect(await watchMirrors(platform, (5 * HOUR) / 1000)).toEqual([]);
  });
});
