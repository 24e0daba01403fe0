import type { ErrorClass } from '../wechat/errcodes.ts';

/**
 * When to try again after a failed mint. Times are milliseconds.
 *
 * What can heal by itself is tried again inside the window, with delays that double and jitter, so
 * that one bad minute does not cost the next one ten minutes later. What needs a person is asked
 * about every ten minutes only.
 */

const FIRST_DELAY = 5_000;
const MAX_DELAY = 300_000;
/** Near expiry, waiting longer than this would be worse than one call too many. */
const MAX_URGENT_DELAY = 15_000;
/** WeChat's "busy" usually passes within seconds. */
const QUICK_TRIES = 3;
const QUICK_DELAY = { least: 1_000, most: 4_000 };
/** A request whose answer was lost may still be executing. */
const AFTER_LOST_ANSWER = 10_000;

const FIXED_DELAY: Readonly<Record<Exclude<ErrorClass, 'retry' | 'token'>, number>> = {
  rate: 60_000,
  ticket: 600_000,
  config: 600_000,
  permission: 600_000,
  reauthorize: 600_000,
  bug: 600_000,
  quota: 3_600_000,
};

export interface FailedMint {
  class: ErrorClass;
  errcode: number | undefined;
  /** Failures in a row, this one included. */
  failures: number;
  urgent: boolean;
  mayHaveMinted: boolean;
}

/** @param random uniform in [0, 1) */
export function retryDelayMs(failed: FailedMint, random: number): number {
  if (failed.class !== 'retry' && failed.class !== 'token') return FIXED_DELAY[failed.class];
  if (failed.errcode === -1 && failed.failures <= QUICK_TRIES) {
    return QUICK_DELAY.least + random * (QUICK_DELAY.most - QUICK_DELAY.least);
  }
  const doubled = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** Math.min(failed.failures - 1, 10));
  const capped = failed.urgent ? Math.min(doubled, MAX_URGENT_DELAY) : doubled;
  // Never less than half: spacing must not collapse when many tries draw low.
  const delay = capped * (0.5 + random / 2);
  return failed.mayHaveMinted ? Math.max(delay, AFTER_LOST_ANSWER) : delay;
}
