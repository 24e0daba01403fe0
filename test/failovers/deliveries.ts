import { setTimeout as sleep } from 'node:timers/promises';
import { ROUTE } from './application.ts';
import { keys, PUSHED } from './platform.ts';
import { answeredAt, type Push } from './pushes.ts';
import type { Stage } from './stage.ts';

/** What must hold of deliveries, whatever fails: at least once, soon, and seldom twice. */

/** What became of the events that are stored, whatever WeChat was answered. */
export interface Delivered {
  /** Stored, and to be delivered. */
  events: number;
  /** Of these, those to which no attempt got an answer. */
  missing: number;
  /** Deliveries that came more than once. */
  repeated: number;
  /** How often the one came that came most often. */
  mostOften: number;
  /** Seconds from the answer to WeChat to that of the application, where it took longest. */
  longest: number;
  /** What is still in the queues at the end, dead letters included. */
  left: number;
}

/** Seconds: a lease, a look at the queues, and Redis away meanwhile. */
const LATEST = 60;
/**
 * What an application has taken comes again when Redis, or the replica, was gone before it was noted: once,
 * when the lease is over. One fault can do that once.
 */
const MOST_OFTEN = 2;
const LOOK_EVERY_MS = 100;

export async function fateOfDeliveries(stage: Stage, stored: readonly Push[]): Promise<Delivered> {
  const left = await untilDelivered(stage);
  const { deliveries } = stage.application;
  const times = new Map<string, number>();
  const answered = new Map<number, number>();
  for (const { id, number, answeredAt: at = Infinity } of deliveries) {
    times.set(id, (times.get(id) ?? 0) + 1);
    answered.set(number, Math.min(answered.get(number) ?? Infinity, at));
  }
  const delays = stored.map(
    ({ number, record }) => ((answered.get(number) ?? Infinity) - answeredAt(record)) / 1000,
  );
  const known = delays.filter((seconds) => seconds < Infinity);
  return {
    events: stored.length,
    missing: delays.length - known.length,
    repeated: [...times.values()].filter((count) => count > 1).length,
    mostOften: Math.max(0, ...times.values()),
    longest: Math.max(0, ...known),
    left,
  };
}

export function brokenDeliveries({ missing, mostOften, longest, left }: Delivered): string[] {
  const promises: [boolean, string][] = [
    [missing === 0, `${missing} stored events were not delivered`],
    [longest <= LATEST, `an event was delivered after ${longest.toFixed(1)} s`],
    [mostOften <= MOST_OFTEN, `an event was delivered ${mostOften} times`],
    [left === 0, `${left} deliveries are left at the end`],
  ];
  return promises.flatMap(([holds, what]) => (holds ? [] : [what]));
}

/** How many wait and were not tried yet. */
export function countFresh({ redis }: Stage): Promise<number> {
  return redis.zcard(keys.deliveries(PUSHED.appid, ROUTE).fresh);
}

/** Nothing comes any more. @returns how many are left all the same */
async function untilDelivered({ redis }: Stage): Promise<number> {
  const { fresh, again, leased, replying, dead } = keys.deliveries(PUSHED.appid, ROUTE);
  const giveUpAt = performance.now() + LATEST * 1000;
  for (;;) {
    const queues = [fresh, again, leased, replying, dead];
    const counts = await Promise.all(queues.map((key) => redis.zcard(key)));
    const left = counts.reduce((sum, count) => sum + count, 0);
    if (left === 0 || performance.now() > giveUpAt) return left;
    await sleep(LOOK_EVERY_MS);
  }
}
