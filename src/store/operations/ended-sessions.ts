import type { Clock } from '../../lib/clock.ts';
import { isWrongType, onRedis } from '../redis/connection.ts';
import type { Store } from '../redis/store.ts';

/**
 * Sessions of the dashboard that a person has ended before their time: a copy of their cookie must not
 * open them again, at any replica. Each process remembers what it has seen, for when Redis is away, and
 * gives it back when Redis has lost it.
 */
export interface EndedSessions {
  /**
   * Remembers it here at once, and tells Redis; whatever Redis does not take now, `keep` brings later.
   * @param session its random part
   * @param until epoch ms at which it would have ended anyway
   */
  end(session: string, until: number): Promise<void>;
  /** As far as is known while Redis is away. Does not reject without Redis. */
  has(session: string): Promise<boolean>;
  /** Learns what other replicas have ended, and gives back what Redis lacks. @throws KeeperError */
  keep(): Promise<void>;
}

type SharedStore = Pick<Store, 'redis' | 'keys'>;

export function createEndedSessions(store: SharedStore, clock: Pick<Clock, 'now'>): EndedSessions {
  const { redis, keys } = store;
  const key = keys.endedSessions;
  const ended = new Map<string, number>();
  const prune = () => {
    for (const [session, until] of ended) if (until <= clock.now()) ended.delete(session);
  };
  return {
    async end(session, until) {
      prune();
      ended.set(session, until);
      await onRedis(() => redis.zadd(key, until, session)).catch(() => undefined);
    },
    async has(session) {
      if (ended.has(session)) return true;
      const until = await onRedis(() => redis.zscore(key, session)).catch(() => null);
      if (until === null) return false;
      ended.set(session, Number(until));
      return true;
    },
    async keep() {
      prune();
      const stored = await readAll(store, clock.now());
      const missing = [...ended].filter(([session]) => !stored.has(session));
      for (const [session, until] of stored) ended.set(session, until);
      for (const [session, until] of missing) await onRedis(() => redis.zadd(key, until, session));
    },
  };
}

/** Those that have not ended by themselves meanwhile; the others are taken out. */
async function readAll({ redis, keys }: SharedStore, now: number): Promise<Map<string, number>> {
  const key = keys.endedSessions;
  try {
    const stored = await onRedis(() => redis.zrangebyscore(key, '-inf', '+inf', 'WITHSCORES'));
    // RESP3 answers in pairs.
    const flat = stored.flat();
    const found = new Map<string, number>();
    for (let i = 0; i < flat.length; i += 2) found.set(flat[i] ?? '', Number(flat[i + 1]));
    const over = [...found].filter(([, until]) => until <= now).map(([session]) => session);
    if (over.length > 0) await onRedis(() => redis.zrem(key, ...over));
    for (const session of over) found.delete(session);
    return found;
  } catch (error) {
    if (!isWrongType(error)) throw error;
    // What somebody has put there by hand is in the way.
    await onRedis(() => redis.del(key));
    return new Map();
  }
}
