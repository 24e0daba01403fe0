import { describe, expect, it } from 'vitest';
import { windowOf } from '../../../src/credentials/freshness.ts';
import { authorizerToken } from '../../../src/store/authorizers/authorization.ts';

const COMPONENT = 'wxcomponent00000001';
const WINDOW = 900_000;
const LEAST = 0.4 * WINDOW;

const appids = Array.from({ length: 10_000 }, (_, index) => {
  return `wx${index.toString(16).padStart(16, '0')}`;
});
const windows = appids.map((appid) => windowOf(authorizerToken(COMPONENT, appid), WINDOW));

describe('the window of an authorizer', () => {
  it('is always the same one', () => {
    const again = appids.map((appid) => windowOf(authorizerToken(COMPONENT, appid), WINDOW));
    expect(again).toEqual(windows);
    // These hold for every version and replica: one that judged otherwise would refresh at other times.
    expect(windows.slice(0, 3)).toEqual([823_000, 853_000, 521_000]);
  });

  it('is whole seconds from 0.4 of the usual one to all of it', () => {
    for (const window of windows) {
      expect(window).toBeGreaterThanOrEqual(LEAST);
      expect(window).toBeLessThanOrEqual(WINDOW);
      expect(window % 1_000).toBe(0);
    }
    expect(Math.min(...windows)).toBeLessThan(LEAST + 2_000);
    expect(Math.max(...windows)).toBe(WINDOW);
  });

  it('spreads 10,000 accounts evenly over those nine minutes', () => {
    const parts = 20;
    const counts = Array.from({ length: parts }, () => 0);
    for (const window of windows) {
      // Rounded up to seconds: a whole second belongs to the part that it ends.
      const part = Math.ceil(((window - LEAST) / (WINDOW - LEAST)) * parts) - 1;
      const index = Math.max(0, part);
      counts[index] = (counts[index] ?? 0) + 1;
    }
    const expected = appids.length / parts;
    const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // 19 degrees of freedom: an even spread stays below this in 99.9 % of all cases.
    expect(chiSquare).toBeLessThan(43.8);
  });

  it('differs for the same account under another platform', () => {
    const others = appids.map((appid) => windowOf(authorizerToken('wxother', appid), WINDOW));
    const same = others.filter((window, index) => window === windows[index]);
    expect(same.length).toBeLessThan(appids.length / 100);
  });

  it('follows the setting', () => {
    const id = authorizerToken(COMPONENT, 'wx0000000000000000');
    const share = windowOf(id, 1_000_000_000) / 1_000_000_000;
    expect(windowOf(id, 300_000)).toBe(Math.ceil(share * 300) * 1_000);
  });

  it.each(['component_access_token', 'pre_auth_code', 'access_token', 'jsapi_ticket'] as const)(
    'is the usual one for every %s',
    (kind) => {
      for (const subject of appids.slice(0, 100)) {
        expect(windowOf({ kind, subject }, WINDOW)).toBe(WINDOW);
        expect(windowOf({ kind, subject }, 123_456)).toBe(123_456);
      }
    },
  );
});
