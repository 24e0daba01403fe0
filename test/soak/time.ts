import { CALL_DEADLINE_MS } from '../../src/wechat/client.ts';
import type { Station } from './station.ts';

/** Letting simulated time pass while real sockets work. */

/** Real milliseconds without any sign of work, after which only the clock can bring some. */
const QUIET_MS = 10;
/** The same before something is called wrong. */
const REST_MS = 1_000;
/** The same where nothing can wait for the clock, should the machine stand still for a moment. */
export const AT_REST_MS = 5_000;
/** Calls looked at for one that may still hang; more cannot have begun meanwhile. */
const RECENT_CALLS = 60;
/** Simulated milliseconds for which a commit is tried again when Redis was away. */
const COMMIT_RETRIES_MS = 20_000;

export interface Passing {
  /** Lets time pass with everything that happens meanwhile. */
  pass(ms: number): Promise<void>;
  settle(): Promise<void>;
  /** The same with patience: a busy machine may stand still for longer than the other one waits. */
  rest(): Promise<void>;
  /** The result, or undefined when it has to wait for the clock. */
  now<T>(work: Promise<T>, quietMs?: number): Promise<T | undefined>;
}

export function createPassing(station: Station): Passing {
  const { clock, simulator, replicas } = station;
  let redisAwayAt = -Infinity;

  async function idle(): Promise<void> {
    // A push that was just answered starts work in the service, whose calls reach the simulator.
    for (let round = 0; round < 3; round += 1) {
      await simulator.idle();
      for (const { app, state } of replicas) if (state === 'up') await app.idle();
    }
  }
  /** Whether there may be work that only the clock can end. */
  function mayWait(): boolean {
    if (!station.redisUp) redisAwayAt = clock.now();
    if (clock.now() - redisAwayAt <= COMMIT_RETRIES_MS) return true;
    const since = clock.now() - CALL_DEADLINE_MS;
    const slow = ['hang', 'drip', 'delay'];
    return (
      replicas.some(({ state, cutOff }) => state !== 'up' || cutOff) ||
      station.waits.some((isWaiting) => isWaiting()) ||
      simulator.ledger.calls
        .slice(-RECENT_CALLS)
        .some(({ at, fault }) => at >= since && slow.includes(fault ?? ''))
    );
  }
  async function settle(): Promise<void> {
    const work = { done: false };
    const done = idle().then(() => (work.done = true));
    await turn();
    // Not in a tight loop: Redis needs the processor, too.
    while (!work.done && !mayWait()) await Promise.race([done, moment()]);
    if (!work.done) await quiet(station, work);
  }
  return {
    settle,
    async rest() {
      const work = { done: false };
      const done = idle().then(() => (work.done = true));
      await Promise.race([done, quiet(station, work, REST_MS)]);
    },
    async pass(ms) {
      // What was begun just before must not find its time over.
      await settle();
      await clock.advance(ms, settle);
      await settle();
    },
    async now(promise, quietMs) {
      const work = { done: false };
      const finished = promise.finally(() => (work.done = true));
      finished.catch(() => undefined);
      await quiet(station, work, quietMs);
      return work.done ? finished : undefined;
    },
  };
}

function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

function turn(): Promise<void> {
  return new Promise(setImmediate);
}

/** Resolves when the work is done, or when nothing has moved for a while. */
async function quiet(station: Station, work: { done: boolean }, quietMs = QUIET_MS): Promise<void> {
  const { simulator, clock, journal } = station;
  const { calls, pushes } = simulator.ledger;
  const sign = () =>
    `${calls.length} ${pushes.length} ${clock.pendingTimers()} ${journal.written()}`;
  let last = sign();
  let since = performance.now();
  for (let turns = 0; !work.done; turns += 1) {
    await turn();
    const current = sign();
    if (current !== last) {
      last = current;
      since = performance.now();
      turns = 0;
    } else if (turns > 50 && performance.now() - since > quietMs) return;
  }
}
