import { deadline, systemClock } from '../../lib/clock.ts';
import { isRefusedByRedis } from './connection.ts';
import { wordOf } from './error-words.ts';
import { probeStore, type SelfTest } from './self-test.ts';
import { byShard } from './shards.ts';
import type { Store } from './store.ts';

/** Whether pushes and refreshes can be written just now. */

/** Milliseconds: whoever asks has an answer within a second, and so long waits no push for Redis. */
const PROBE_MS = 800;

export type NotReady = 'store_unavailable' | 'store_forbids' | 'store_refuses';

/**
 * @param subjects appids of the configured components and accounts
 * @returns asks Redis at each call, but once at a time: a connection that is there may lead to a Redis
 *   that answers nobody
 */
export function createReadiness(
  store: Store,
  lastTest: () => SelfTest | undefined,
  subjects: readonly string[],
): () => Promise<NotReady | undefined> {
  let probing: Promise<boolean> | undefined;
  return async () => {
    if (store.redis.status !== 'ready') return 'store_unavailable';
    probing ??= answers(store, subjects).finally(() => {
      probing = undefined;
    });
    if (!(await probing)) return 'store_unavailable';
    return judge(lastTest(), subjects);
  };
}

/** What it refuses is an answer, too: the self-test says of it what a person must know. */
async function answers(store: Store, subjects: readonly string[]): Promise<boolean> {
  const limit = deadline(systemClock, PROBE_MS);
  const over = new Promise<boolean>((resolve) => {
    limit.signal.addEventListener('abort', () => resolve(false));
  });
  // Of a cluster those shards count on which our platforms and accounts are; one of them serves somebody.
  const probes = byShard(store.redis, subjects, (appid) => appid).map(([tag]) =>
    probeStore(store, tag).catch((error: unknown) => {
      if (!isRefusedByRedis(error) || isDown(error)) throw error;
    }),
  );
  const answered = Promise.any(probes).then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([answered, over]);
  } finally {
    limit.cancel();
  }
}

/** A shard whose cluster has lost the others serves nobody, and the self-test ends at those. */
function isDown(error: unknown): boolean {
  const { cause } = error as Error;
  return cause instanceof Error && wordOf(cause) === 'CLUSTERDOWN';
}

/** Without these no push is stored and nothing is refreshed; all else is for people to look at. */
const ESSENTIAL =
  /^(?:accept-ticket|append-event|merge-exchange|grant-authorization|(?:begin|commit)-mint|read-record)$/;

/** One component whose key was spoiled must not take the others out of service with it. */
function judge(test: SelfTest | undefined, subjects: readonly string[]): NotReady | undefined {
  if (test === undefined) return undefined;
  const { forbidden, refuses, refused, spoiled } = test;
  if (forbidden.length > 0) return 'store_forbids';
  if (refuses !== undefined) return 'store_refuses';
  const served = refused.filter(
    ({ key, operation }) => key === undefined || ESSENTIAL.test(operation),
  );
  const hit = [...served, ...spoiled.filter(({ needed }) => needed)];
  if (hit.some(({ subject, key }) => subject === undefined && key === undefined)) {
    return 'store_refuses';
  }
  const down = new Set(hit.map(({ subject }) => subject));
  const all = subjects.length > 0 && subjects.every((subject) => down.has(subject));
  return all ? 'store_refuses' : undefined;
}
