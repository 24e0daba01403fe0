/**
 * The simulator's own time. Times are epoch milliseconds, durations milliseconds.
 * Whoever shares one clock between a service and the simulator can let hours pass in no time.
 */
export interface SimulatorClock {
  now(): number;
  /** Runs `fn` once after `delayMs`. Returns the function that cancels it. */
  setTimer(delayMs: number, fn: () => void): () => void;
}

/** setTimeout fires at once when the delay does not fit 31 bits (about 24.8 days). */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** A clock that starts at the present and runs `speed` times as fast as real time. */
export function createScaledClock({ speed }: { speed: number }): SimulatorClock {
  const startedAt = Date.now();
  const now = (): number => Math.floor(startedAt + (Date.now() - startedAt) * speed);
  return {
    now,
    setTimer(delayMs, fn) {
      const dueAt = now() + delayMs;
      // setTimeout may fire a millisecond early, which many times faster is seconds: look again.
      const wait = (): NodeJS.Timeout =>
        setTimeout(
          () => {
            if (now() >= dueAt) fn();
            else timer = wait();
          },
          Math.min(Math.ceil((dueAt - now()) / speed), LONGEST_TIMEOUT_MS),
        );
      let timer = wait();
      return () => clearTimeout(timer);
    },
  };
}

/** Timers that all end together when the simulator stops. */
export interface Timers {
  /** `onStop` runs instead of `fn` when `stopAll` comes first. */
  after(delayMs: number, fn: () => void, onStop?: () => void): () => void;
  stopAll(): void;
}

export function createTimers(clock: SimulatorClock): Timers {
  const pending = new Set<() => void>();
  return {
    after(delayMs, fn, onStop) {
      const stop = (): void => {
        cancel();
        onStop?.();
      };
      const cancelTimer = clock.setTimer(delayMs, () => {
        pending.delete(stop);
        fn();
      });
      const cancel = (): void => {
        pending.delete(stop);
        cancelTimer();
      };
      pending.add(stop);
      return cancel;
    },
    stopAll() {
      for (const stop of [...pending]) stop();
    },
  };
}
