import type { Clock } from '../lib/clock.ts';
import { KeeperError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { KeyedWorker } from '../lib/worker.ts';

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

/** There is one of them. */
const ROUND = 'round';

/** @param tasks what is done in each round, in this order; one that fails does not stop the next */
export function createMaintenanceLoop(
  clock: Clock,
  log: Log,
  ...tasks: (() => Promise<void> | void)[]
): MaintenanceLoop {
  const report = createReport(log);
  let started = false;
  const worker = new KeyedWorker(clock, {
    async run() {
      for (const task of tasks) {
        try {
          await task();
        } catch (error) {
          report(error);
        }
      }
      worker.runAt(ROUND, ROUND_MS);
    },
    onFailure: (_round, error) => report(error),
  });
  return {
    start() {
      started = true;
      // Not all replicas in the same second.
      worker.runAt(ROUND, ROUND_MS * (0.5 + clock.random() / 2));
    },
    now() {
      if (started) void worker.request(ROUND, true);
    },
    idle: () => worker.idle(),
    stop: () => worker.stop(),
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
