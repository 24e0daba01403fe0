import { TOKEN } from './liveness.ts';
import { stored } from './observe.ts';
import {
  createTestPlatform,
  MINUTE,
  type TestPlatform,
  type TestPlatformOptions,
} from './platform.ts';
import { passUnanswered } from './waiting.ts';

/** How the stories of single faults begin and go on. */

/** Messages of the log that many stories wait for. */
export const FAILED = 'refresh failed, trying again';
export const NEEDS_PERSON = 'refresh failed: a person should look';
export const REFRESHED = 'credential refreshed';
export const OVERLAPPED = 'another mint overlapped this one; one more settles which is newer';

export const MINT_API = 'api_component_token';

/**
 * A platform whose token has been fresh for 109 minutes: the next tick, at 110, finds it due. Tickets
 * came often enough for nobody to ask WeChat for them.
 */
export async function platformBeforeRefresh(
  options: TestPlatformOptions = {},
): Promise<TestPlatform> {
  const platform = await createTestPlatform(options);
  for (let pushes = 0; pushes < 6; pushes += 1) {
    await platform.simulator.pushTicket();
    await platform.settle();
    await platform.skip(pushes < 5 ? 20 * MINUTE : 9 * MINUTE);
  }
  return platform;
}

/** Seconds until the stored value is another one than `seq`, one by one, and `limit` at most. */
export async function secondsUntilRenewed(
  platform: TestPlatform,
  seq: string | undefined,
  limit: number,
): Promise<number> {
  for (let second = 1; second <= limit; second += 1) {
    await passUnanswered(platform, 1_000);
    const { kept } = await stored(platform, TOKEN);
    if (kept.seq !== seq) return second;
  }
  throw new Error(`nothing was renewed within ${limit} s`);
}
