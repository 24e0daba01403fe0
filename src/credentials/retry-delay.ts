import type { ErrorClass } from '../wechat/errcodes.ts';

/**
 * When to try again after a failed mint. Times are milliseconds.
 *
 * What can heal by itself is tried again inside the window, with delays that double and jitter, so
 * that one bad minute does not cost the next one ten minutes later. What needs a person is asked
 * about once more within a minute, because a single refusal may pass: the log-in page of a network, a
 * whitelist that is being released. After that it is asked about every ten minutes only.
 */

const FIRST_DELAY = 5_000;
const MAX_DELAY = 300_000;
/** Near expiry, waiting longer than this would be worse than one call too many. */
const MAX_URGENT_DELAY = 15_000;
/** Of what a value has left to live: a value that WeChat has repeated ends before it is long due. */
const MOST_OF_LIFE = 0.5;
/** WeChat's "busy" usually passes within seconds. */
const QUICK_TRIES = 3;
const QUICK_DELAY = { least: 1_000, most: 4_000 };
/** A request whose answer was lost may still be executing. */
const AFTER_LOST_ANSWER = 10_000;

/** After the first refusal of its kind: with a maintenance round on top still within a minute. */
const ONCE_MORE = { least: 20_000, most: 40_000 };
const FOR_A_PERSON = 600_000;
const RATE_DELAY = 60_000;
/**
 * A quota may be cleared at any time, of which WeChat tells nobody. Whether calls that are refused count
 * is not documented: 5 to 10 minutes are 288 a day at most, and only while there is no live value.
 */
const QUOTA = { least: 300_000, most: 600_000, whileLive: 3_600_000 };
/** WeChat counts by Beijing's day; not all in the first second of it, when the counters may lag. */
const DAY = 86_400_000;
const BEIJING = 8 * 3_600_000;
const AFTER_MIDNIGHT = { least: 5_000, most: 30_000 };

export interface FailedMint {
  class: ErrorClass;
  errcode: number | undefined;
  /** Failures in a row, this one included. */
  failures: number;
  /** The failure just before was of the same class. */
  again: boolean;
  urgent: boolean;
  mayHaveMinted: boolean;
  /** Milliseconds for which there is a live value; 0 without one. */
  liveMs: number;
  /** Epoch ms. */
  now: number;
}

/** @param random uniform in [0, 1) */
export function retryDelayMs(failed: FailedMint, random: number): number {
  switch (failed.class) {
    case 'retry':
    case 'token':
      return healingDelayMs(failed, random);
    case 'rate':
      return RATE_DELAY;
    case 'quota':
      return quotaDelayMs(failed, random);
    case 'ticket':
    case 'config':
    case 'permission':
    case 'reauthorize':
    case 'bug':
      return failed.again ? FOR_A_PERSON : between(ONCE_MORE, random);
  }
}

function healingDelayMs(failed: FailedMint, random: number): number {
  if (failed.errcode === -1 && failed.failures <= QUICK_TRIES) return between(QUICK_DELAY, random);
  const doubled = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** Math.min(failed.failures - 1, 10));
  const capped = Math.min(doubled, Math.max(MAX_URGENT_DELAY, mostDelayMs(failed)));
  // Never less than half: spacing must not collapse when many tries draw low.
  const delay = capped * (0.5 + random / 2);
  return failed.mayHaveMinted ? Math.max(delay, AFTER_LOST_ANSWER) : delay;
}

function mostDelayMs({ urgent, liveMs }: FailedMint): number {
  if (urgent) return MAX_URGENT_DELAY;
  return liveMs > 0 ? liveMs * MOST_OF_LIFE : MAX_DELAY;
}

/** A live value can wait to its end; and nobody need wait longer than until the counters begin anew. */
function quotaDelayMs({ liveMs, now }: FailedMint, random: number): number {
  const soon = between(QUOTA, random);
  const midnight = DAY - ((now + BEIJING) % DAY) + between(AFTER_MIDNIGHT, random);
  return Math.min(Math.max(soon, Math.min(QUOTA.whileLive, liveMs)), midnight);
}

function between({ least, most }: { least: number; most: number }, random: number): number {
  return least + random * (most - least);
}
