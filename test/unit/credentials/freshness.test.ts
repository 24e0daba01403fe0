import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLive, judgeFreshness, type Judged } from '../../../src/credentials/freshness.ts';

const OBTAINED = 1_000_000_000;
const SECOND = 1_000;
const WINDOW = 900 * SECOND;

function record(lifeSeconds: number, more: Partial<Judged> = {}): Judged {
  return {
    value: 'value',
    obtainedAt: OBTAINED,
    expiresAt: OBTAINED + lifeSeconds * SECOND,
    taken: false,
    suspect: false,
    refused: false,
    ...more,
  };
}

/** The state of a value with this life, this many seconds after it was obtained. */
function at(lifeSeconds: number, age: number, more: Partial<Judged> = {}, singleUse = false) {
  const now = OBTAINED + age * SECOND;
  return judgeFreshness(record(lifeSeconds, more), now, WINDOW, singleUse);
}

describe('judging how fresh a credential is', () => {
  it.each([
    { life: 7200, age: 0, state: 'fresh', reason: 'in_its_life' },
    { life: 7200, age: 6299.999, state: 'fresh', reason: 'in_its_life' },
    { life: 7200, age: 6300, state: 'due', reason: 'inside_window' },
    { life: 7200, age: 6899.999, state: 'due', reason: 'inside_window' },
    { life: 7200, age: 6900, state: 'urgent', reason: 'about_to_expire' },
    { life: 7200, age: 7199.999, state: 'urgent', reason: 'about_to_expire' },
    { life: 7200, age: 7200, state: 'expired', reason: 'past_expiry' },
    { life: 7200, age: 99_999, state: 'expired', reason: 'past_expiry' },
    // The window is never more than half of a short life, urgency never more than a sixth.
    { life: 600, age: 299.999, state: 'fresh', reason: 'in_its_life' },
    { life: 600, age: 300, state: 'due', reason: 'inside_window' },
    { life: 600, age: 499.999, state: 'due', reason: 'inside_window' },
    { life: 600, age: 500, state: 'urgent', reason: 'about_to_expire' },
    { life: 1, age: 0, state: 'fresh', reason: 'in_its_life' },
    { life: 1, age: 0.5, state: 'due', reason: 'inside_window' },
    { life: 0, age: 0, state: 'expired', reason: 'past_expiry' },
  ])('a value of $life s is $state after $age s ($reason)', ({ life, age, state, reason }) => {
    expect(at(life, age)).toMatchObject({ state, reason });
  });

  it('is missing, and due at once, while no value was ever obtained', () => {
    const now = OBTAINED + 5;
    const empty = record(7200, { value: undefined, expiresAt: 0, obtainedAt: 0 });
    expect(judgeFreshness(empty, now, WINDOW, false)).toMatchObject({
      state: 'missing',
      reason: 'never_obtained',
      dueAt: now,
    });
  });

  it('becomes urgent in the last third of the window, however small that is', () => {
    const after = (seconds: number) =>
      judgeFreshness(record(7200), OBTAINED + seconds * SECOND, 60 * SECOND, false);
    expect(after(7139.999).state).toBe('fresh');
    expect(after(7140).state).toBe('due');
    expect(after(7179.999).state).toBe('due');
    expect(after(7180).state).toBe('urgent');
    expect(after(0).urgentAt).toBe(OBTAINED + 7180 * SECOND);
  });

  it('says from when a fresh value will be due', () => {
    expect(at(7200, 10).dueAt).toBe(OBTAINED + 6300 * SECOND);
    expect(at(600, 10).dueAt).toBe(OBTAINED + 300 * SECOND);
  });

  it('misses a single-use value that was handed out, and only that', () => {
    expect(at(1800, 1, { taken: true }, true)).toMatchObject({
      state: 'missing',
      reason: 'handed_out',
    });
    expect(at(1800, 1, { taken: true }, false).state).toBe('fresh');
    expect(at(1800, 1, { taken: false }, true).state).toBe('fresh');
  });

  it('calls a value due whose order is unknown, without hiding that it is about to expire', () => {
    expect(at(7200, 1, { suspect: true })).toMatchObject({ state: 'due', reason: 'order_unknown' });
    expect(at(7200, 7000, { suspect: true }).state).toBe('urgent');
    expect(at(7200, 7200, { suspect: true }).state).toBe('expired');
  });

  it('hands out what is fresh, due or urgent, and nothing else', () => {
    const states = ['fresh', 'due', 'urgent', 'expired', 'missing'] as const;
    expect(states.filter((state) => isLive(state))).toEqual(['fresh', 'due', 'urgent']);
  });
});

describe('judging any credential', () => {
  const life = fc.integer({ min: 1, max: 100_000 });
  const window = fc.integer({ min: 0, max: 10_000_000 });
  const RANK = { fresh: 0, due: 1, urgent: 2, expired: 3, missing: 3 } as const;

  it('never goes back to a fresher state as time passes', () => {
    fc.assert(
      fc.property(
        life,
        window,
        fc.boolean(),
        fc.integer({ min: 0, max: 200_000_000 }),
        fc.nat(1_000_000),
        (seconds, windowMs, suspect, age, later) => {
          const one = record(seconds, { suspect });
          const before = judgeFreshness(one, OBTAINED + age, windowMs, false).state;
          const after = judgeFreshness(one, OBTAINED + age + later, windowMs, false).state;
          expect(RANK[after]).toBeGreaterThanOrEqual(RANK[before]);
        },
      ),
    );
  });

  it('is live exactly until it expires', () => {
    fc.assert(
      fc.property(life, window, fc.integer({ min: 0, max: 200_000_000 }), (seconds, ms, age) => {
        const { state } = judgeFreshness(record(seconds), OBTAINED + age, ms, false);
        expect(isLive(state)).toBe(age < seconds * SECOND);
      }),
    );
  });

  it('is never due in the first half of its life, whatever the window', () => {
    fc.assert(
      fc.property(life, window, fc.double({ min: 0, max: 0.499, noNaN: true }), (s, ms, part) => {
        const now = OBTAINED + part * s * SECOND;
        expect(judgeFreshness(record(s), now, ms, false).state).toBe('fresh');
      }),
    );
  });

  it('is due from the moment it named, and urgent from the later one', () => {
    fc.assert(
      fc.property(life, window, (seconds, windowMs) => {
        const one = record(seconds);
        const { dueAt, urgentAt } = judgeFreshness(one, OBTAINED, windowMs, false);
        expect(urgentAt).toBeGreaterThanOrEqual(dueAt);
        expect(judgeFreshness(one, dueAt, windowMs, false).state).not.toBe('fresh');
        expect(judgeFreshness(one, urgentAt, windowMs, false).state).toMatch(/urgent|expired/);
      }),
    );
  });
});
