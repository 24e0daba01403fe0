import { expect } from 'vitest';
import type { MintKind } from '../../src/sandbox/wechat/ledger.ts';
import type { CredentialId } from '../../src/store/redis/keys.ts';
import { COMPONENT, type TestPlatform } from './platform.ts';
import { valuesOf } from './redis-shapes/whole.ts';

export const TOKEN = { kind: 'component_access_token', subject: COMPONENT.appid } as const;
export const CODE = { kind: 'pre_auth_code', subject: COMPONENT.appid } as const;

/**
 * Lets `seconds` pass one by one and asks WeChat, after each, whether what a service would read
 * from Redis is alive. Returns the seconds at which a mirror was empty or held a dead value.
 */
export async function watchMirrors(
  platform: TestPlatform,
  seconds: number,
  ids: readonly CredentialId[] = [TOKEN, CODE],
): Promise<string[]> {
  const { clock, redis, keys, simulator } = platform;
  const names = ids.map((id) => keys.mirror(id));
  const bad: string[] = [];
  let values: (string | null)[] = [];
  for (let second = 1; second <= seconds; second += 1) {
    // Nobody does anything but by a timer: without one, Redis holds what it held a second ago.
    let stirred = second === 1;
    await clock.advance(1_000, () => {
      stirred = true;
      return platform.settle();
    });
    if (stirred) {
      await platform.settle();
      values = await valuesOf(redis, names);
    }
    for (const [index, { kind }] of ids.entries()) {
      const value = values[index] ?? '';
      if (!simulator.isLive(kind, value)) {
        bad.push(
          `${kind} ${value === '' ? 'missing' : 'dead'} at ${new Date(clock.now()).toISOString()}`,
        );
      }
    }
  }
  return bad;
}

/** Seconds between the mints WeChat counted. */
export function mintIntervals(platform: Pick<TestPlatform, 'simulator'>, kind: MintKind): number[] {
  const times = platform.simulator.ledger.mints
    .filter((mint) => mint.kind === kind)
    .map((mint) => mint.at);
  return times.slice(1).map((time, index) => (time - (times[index] ?? 0)) / 1000);
}

export function mean(numbers: readonly number[]): number {
  expect(numbers.length).toBeGreaterThan(0);
  return numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
}
