import type { Clock } from '../../src/lib/clock.ts';

/** A clock that moves only when told to. Starts at a fixed Saturday morning in Shanghai. */
export interface ManualClock extends Clock {
  /**
   * Moves time forward, running every timer at its own moment, and after each of them everything
   * that `settle` waits for.
   */
  advance(ms: number, settle?: () => Promise<void>): Promise<void>;
  /** Moves only the wall clock, as an operator or NTP would: monotonic time and timers stay. */
  jumpWallClock(ms: number): void;
  /** The same for the clock of Redis. */
  jumpStoreClock(ms: number): void;
  /** Lets time pass for all clocks at once, without any timer noticing: a machine asleep. */
  sleepThrough(ms: number): void;
  simulatedStoreNow(): number;
  pendingTimers(): number;
}

export const CLOCK_START = Date.UTC(2026, 10, 21, 0, 0, 0);

interface Timer {
  at: number;
  fn: () => void;
}

/** @param random what the clock's random() gives; the middle unless a test needs the edges */
export function createManualClock(random: () => number = () => 0.5): ManualClock {
  let elapsed = 0;
  let wallOffset = CLOCK_START;
  let storeOffset = CLOCK_START;
  const timers = new Set<Timer>();

  const nextBefore = (end: number): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers) {
      if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
    }
    return next;
  };
  return {
    now: () => wallOffset + elapsed,
    monotonic: () => elapsed,
    random,
    setTimer(delayMs, fn) {
      const timer = { at: elapsed + Math.max(0, delayMs), fn };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    async advance(ms, settle = () => Promise.resolve()) {
      const end = elapsed + ms;
      for (let timer = nextBefore(end); timer !== undefined; timer = nextBefore(end)) {
        timers.delete(timer);
        elapsed = Math.max(elapsed, timer.at);
        timer.fn();
        await settle();
      }
      elapsed = end;
    },
    jumpWallClock(ms) {
      wallOffset += ms;
    },
    jumpStoreClock(ms) {
      storeOffset += ms;
    },
    sleepThrough(ms) {
      elapsed += ms;
    },
    simulatedStoreNow: () => storeOffset + elapsed,
    pendingTimers: () => timers.size,
  };
}
