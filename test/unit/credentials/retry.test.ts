import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { retryDelayMs, type FailedMint } from '../../../src/credentials/retry-delay.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** In Beijing. */
const NOON = Date.UTC(2026, 10, 21, 4);
const MIDNIGHT = NOON + 12 * HOUR;

const ALMOST_ONE = 1 - Number.EPSILON;

function failure(more: Partial<FailedMint> = {}): FailedMint {
  return {
    class: 'retry',
    errcode: undefined,
    failures: 1,
    again: false,
    urgent: false,
    mayHaveMinted: false,
    liveMs: 0,
    now: NOON,
    ...more,
  };
}

/** The least and the most it may wait. */
function range(more: Partial<FailedMint>): [number, number] {
  return [0, ALMOST_ONE].map((random) => Math.round(retryDelayMs(failure(more), random))) as [
    number,
    number,
  ];
}

describe('how long to wait after a failed mint', () => {
  it.each([
    { failures: 1, least: 2_500, most: 5_000 },
    { failures: 2, least: 5_000, most: 10_000 },
    { failures: 3, least: 10_000, most: 20_000 },
    { failures: 6, least: 80_000, most: 160_000 },
    { failures: 7, least: 150_000, most: 300_000 },
    { failures: 1_000_000, least: 150_000, most: 300_000 },
  ])('doubles: failure $failures waits $least to $most ms', ({ failures, least, most }) => {
    expect(range({ failures })).toEqual([least, most]);
    expect(range({ failures, class: 'token', errcode: 40001 })).toEqual([least, most]);
  });

  it.each([
    { failures: 1, least: 1_000, most: 4_000 },
    { failures: 2, least: 1_000, most: 4_000 },
    { failures: 3, least: 1_000, most: 4_000 },
    { failures: 4, least: 20_000, most: 40_000 },
  ])('errcode -1, failure $failures: waits $least to $most ms', ({ failures, least, most }) => {
    expect(range({ errcode: -1, failures })).toEqual([least, most]);
  });

  it('waits at most 15 s when the value is about to expire', () => {
    expect(range({ failures: 9, urgent: true })).toEqual([7_500, 15_000]);
    expect(range({ failures: 1, urgent: true })).toEqual([2_500, 5_000]);
  });

  it('waits for half of what the value has left at the most', () => {
    expect(range({ failures: 6, errcode: -1, liveMs: 115_000 })).toEqual([28_750, 57_500]);
    expect(range({ failures: 9, liveMs: 20_000 })).toEqual([7_500, 15_000]);
    expect(range({ failures: 9, liveMs: 850_000 })).toEqual([150_000, 300_000]);
  });

  it('waits at least 10 s after an answer that was lost: the request may still be running', () => {
    expect(range({ failures: 1, mayHaveMinted: true })).toEqual([10_000, 10_000]);
    expect(range({ failures: 3, mayHaveMinted: true })).toEqual([10_000, 20_000]);
    expect(range({ failures: 9, mayHaveMinted: true, urgent: true })).toEqual([10_000, 15_000]);
  });

  it.each([
    { class: 'rate', delay: 60_000 },
    { class: 'ticket', delay: 600_000 },
    { class: 'config', delay: 600_000 },
    { class: 'permission', delay: 600_000 },
    { class: 'reauthorize', delay: 600_000 },
    { class: 'bug', delay: 600_000 },
  ] as const)('waits $delay ms after a repeated $class error, however often and urgent', (row) => {
    for (const failures of [2, 50]) {
      const facts = { class: row.class, again: true, failures, urgent: true };
      expect(range(facts)).toEqual([row.delay, row.delay]);
    }
  });

  it.each(['ticket', 'config', 'permission', 'reauthorize', 'bug'] as const)(
    'row 122: asks once more within a minute after the first %s error, whatever failed before',
    (cls) => {
      for (const failures of [1, 7]) {
        expect(range({ class: cls, failures })).toEqual([20_000, 40_000]);
      }
    },
  );

  it('row 126: asks about a quota every 5 to 10 minutes while there is no live value', () => {
    for (const again of [false, true]) {
      expect(range({ class: 'quota', again, failures: again ? 50 : 1 })).toEqual([
        5 * MINUTE,
        10 * MINUTE,
      ]);
    }
  });

  it('row 126: asks about a quota when the live value ends, after an hour at most', () => {
    expect(range({ class: 'quota', liveMs: 2 * HOUR })).toEqual([HOUR, HOUR]);
    expect(range({ class: 'quota', liveMs: 20 * MINUTE })).toEqual([20 * MINUTE, 20 * MINUTE]);
    expect(range({ class: 'quota', liveMs: MINUTE })).toEqual([5 * MINUTE, 10 * MINUTE]);
  });

  it.each([0, 2 * HOUR])(
    'row 126: asks just after midnight in Beijing at the latest (live for %d ms)',
    (liveMs) => {
      const now = MIDNIGHT - MINUTE;
      expect(range({ class: 'quota', now, liveMs })).toEqual([65_000, 90_000]);
      const [least] = range({ class: 'quota', now: MIDNIGHT, liveMs });
      expect(least).toBeGreaterThanOrEqual(5 * MINUTE);
      // The last moment of a day is not followed by a call in the same second.
      expect(range({ class: 'quota', now: MIDNIGHT - 1, liveMs })[0]).toBeGreaterThan(5_000);
    },
  );
});

describe('the wait after any failed mint', () => {
  const anyFailure = fc.record<FailedMint>({
    class: fc.constantFrom(
      'retry',
      'rate',
      'token',
      'ticket',
      'config',
      'quota',
      'permission',
      'bug',
    ),
    errcode: fc.option(fc.constantFrom(-1, -1000, 40001, 61450), { nil: undefined }),
    failures: fc.integer({ min: 1, max: 2_000_000 }),
    again: fc.boolean(),
    urgent: fc.boolean(),
    mayHaveMinted: fc.boolean(),
    liveMs: fc.integer({ min: 0, max: 7_200_000 }),
    now: fc.integer({ min: NOON, max: NOON + 24 * HOUR }),
  });
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

  it('is between a second and an hour', () => {
    fc.assert(
      fc.property(anyFailure, random, (failed, drawn) => {
        const delay = retryDelayMs(failed, drawn);
        expect(delay).toBeGreaterThanOrEqual(1_000);
        expect(delay).toBeLessThanOrEqual(3_600_000);
      }),
    );
  });

  it('does not become shorter with one more failure and the same luck, past the quick tries', () => {
    fc.assert(
      fc.property(anyFailure, random, (failed, drawn) => {
        fc.pre(failed.errcode !== -1);
        const next = { ...failed, failures: failed.failures + 1 };
        expect(retryDelayMs(next, drawn)).toBeGreaterThanOrEqual(retryDelayMs(failed, drawn));
      }),
    );
  });

  it('is never longer than 15 s near expiry for what can heal by itself', () => {
    fc.assert(
      fc.property(anyFailure, random, (failed, drawn) => {
        fc.pre(failed.class === 'retry' || failed.class === 'token');
        const delay = retryDelayMs({ ...failed, errcode: undefined, urgent: true }, drawn);
        expect(delay).toBeLessThanOrEqual(15_000);
      }),
    );
  });

  it('leaves a request whose answer was lost ten seconds, unless WeChat said that it was busy', () => {
    fc.assert(
      fc.property(anyFailure, random, (failed, drawn) => {
        fc.pre(failed.errcode !== -1);
        const delay = retryDelayMs({ ...failed, mayHaveMinted: true }, drawn);
        expect(delay).toBeGreaterThanOrEqual(10_000);
      }),
    );
  });
});
