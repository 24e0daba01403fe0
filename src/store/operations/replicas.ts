import { onDisplayKey, onRedis, parseDisplay } from '../redis/connection.ts';
import type { Store } from '../redis/store.ts';

/** The processes that work on this Redis. Each says every few seconds that it is there. */
export interface Replica {
  id: string;
  host: string;
  version: string;
  /** By the store's clock, epoch ms, as are the others. */
  startedAt: number;
  seenAt: number;
  /** Since when it has said so without a gap: the start, or the end of a sleep or of Redis's absence. */
  watchingSince?: number;
  /** It writes back what Redis has lost. */
  restoring?: boolean;
  /** When it said goodbye; undefined while it runs, and for one that was killed. */
  stoppedAt: number | undefined;
}

/** Milliseconds after which a replica that is gone is forgotten. */
const FORGET_MS = 24 * 3_600_000;

/**
 * Notes that a replica is there, or, with `stoppedAt`, that it goes.
 * @throws KeeperError `store_unavailable`
 */
export async function noteReplica({ redis, keys }: Store, replica: Replica): Promise<void> {
  const { id, ...fields } = replica;
  await onRedis(() => redis.hset(keys.replicas, id, JSON.stringify(fields)));
}

/** Newest first, without those that went long ago. @throws KeeperError `store_unavailable` */
export async function readReplicas(store: Store): Promise<Replica[]> {
  const { known } = await readAll(store);
  return known.sort((a, b) => b.startedAt - a.startedAt);
}

/** Forgets those that went long ago. @throws KeeperError `store_unavailable` */
export async function forgetReplicas(store: Store): Promise<void> {
  const { gone } = await readAll(store);
  if (gone.length > 0) await onRedis(() => store.redis.hdel(store.keys.replicas, ...gone));
}

async function readAll({ redis, keys, time }: Store) {
  const hash = await onDisplayKey<Record<string, string>>(() => redis.hgetall(keys.replicas), {});
  const known: Replica[] = [];
  const gone: string[] = [];
  for (const [id, json] of Object.entries(hash)) {
    const replica = parseDisplay(json) as Omit<Replica, 'id'> | null | undefined;
    const whole = typeof replica?.seenAt === 'number' && typeof replica.startedAt === 'number';
    if (!whole || time.now() - replica.seenAt > FORGET_MS) gone.push(id);
    else known.push({ ...replica, id, stoppedAt: replica.stoppedAt });
  }
  return { known, gone };
}
