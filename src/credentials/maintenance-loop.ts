import type { Clock } from '../lib/clock.ts';
import { KeeperError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';

/**
 * The round that every replica makes by itself: it finds what no tick waits for, such as a mint whose
 * holder died, a value that a failover put in doubt, a key that somebody deleted, a code that was
 * taken straight from Redis.
 */
export interface MaintenanceLoop {
  start(): void;
  /** Goes round at once: Redis is back. Nothing before the start. */
  now(): void;
  idle(): Promise<void>;
  stop(): Promise<void>;
}

/** Milliseconds between two rounds. */
const ROUND_MS = 15_000;

/** @param errands what is done in each round, in this order; one that fails does not stop the next */
export function createMaintenanceLoop(
  clock: Clock,
  log: Log,
  ...errands: (() => Promise<void> | void)[]
): MaintenanceLoop {
  let running: Promise<void> | undefined;
  const report = createReport(log);
  let again = false;
  let started = false;
  let stopped = false;
  let cancel: () => void = () => undefined;

  async function go(): Promise<void> {
    do {
      again = false;
      for (const errand of errands) {
        try {
          await errand();
        } catch (error) {
          report(error);
        }
      }
    } while (wantsAnother());
    running = undefined;
    plan(ROUND_MS);
  }
  // A function, because it changes while a round is awaited.
  const wantsAnother = () => again && !stopped;
  function begin(): void {
    if (stopped) return;
    cancel();
    if (running === undefined) running = go();
    else again = true;
  }
  function plan(delayMs: number): void {
    cancel();
    if (!stopped) cancel = clock.setTimer(delayMs, begin);
  }
  return {
    start() {
      started = true;
      // Not all replicas in the same second.
      plan(ROUND_MS * (0.5 + clock.random() / 2));
    },
    now() {
      if (started) begin();
    },
    idle: async () => running,
    async stop() {
      stopped = true;
      cancel();
      await running;
    },
  };
}

/** That Redis is away is said where the connection is watched; what it complains of, here, once. */
function createReport(log: Log): (error: unknown) => void {
  let lastComplaint: string | undefined;
  return (error) => {
    const store = error instanceof KeeperError && error.code === 'store_unavailable';
    const cause = store ? error.cause : undefined;
    const complaint =
      cause instanceof Error && cause.name === 'ReplyError' ? cause.message : undefined;
    const known = store && complaint === lastComplaint;
    if (known || (store && complaint === undefined)) log.debug('a patrol met no Redis');
    else log.error('a patrol failed; the next one comes all the same', { error });
    lastComplaint = complaint ?? lastComplaint;
  };
}
