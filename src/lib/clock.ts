/**
 * Time and chance, injected everywhere, so that fifteen hours can pass in a test within seconds.
 * Times are epoch milliseconds, durations milliseconds.
 */
export interface Clock {
  /** Wall clock. May jump: use it for expiries and display, never to measure a duration. */
  now(): number;
  /** Milliseconds that never go backwards; only differences mean anything. */
  monotonic(): number;
  /** Uniform in [0, 1). */
  random(): number;
  /** Runs `fn` once after `delayMs`. Returns the function that cancels it. */
  setTimer(delayMs: number, fn: () => void): () => void;
  /** Stands in for Redis's clock where time is simulated; absent in production. */
  simulatedStoreNow?: () => number;
}

/** Node runs a timer of more than this at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: () => Math.random(),
  setTimer(delayMs, fn) {
    const timer = setTimeout(fn, Math.min(delayMs, MAX_TIMEOUT_MS));
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delayMs` of this clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimer(delayMs, resolve));
}

/**
 * An AbortSignal that fires after `delayMs` of this clock.
 * `cancel` must be called when the work is done, or the timer keeps the process alive.
 */
export function deadline(
  clock: Clock,
  delayMs: number,
): { signal: AbortSignal; cancel: () => void } {
  const controller = new AbortController();
  const cancel = clock.setTimer(delayMs, () => controller.abort());
  return { signal: controller.signal, cancel };
}
