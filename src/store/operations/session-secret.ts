import { randomBytes } from 'node:crypto';
import { isWrongType, onRedis } from '../redis/connection.ts';
import type { Store } from '../redis/store.ts';

/**
 * The random secret in every signature of a dashboard's session, one for all replicas: whoever knows
 * only the settings can sign nothing. Each process remembers it, so that sessions outlive Redis being
 * away, and gives it back when Redis has lost it.
 */
export interface SessionSecret {
  /**
   * The shared one once this process has seen it; until then one of its own, which no other replica
   * knows. Does not reject without Redis.
   */
  current(): Promise<Buffer>;
  /**
   * Reads it, makes it when nobody has, writes it back when Redis has lost it.
   * @throws KeeperError `store_unavailable`
   */
  keep(): Promise<void>;
}

const SECRET = /^[\w-]{43}$/;

type SharedStore = Pick<Store, 'redis' | 'keys'>;

export function createSessionSecret(store: SharedStore): SessionSecret {
  const own = randomBytes(32).toString('base64url');
  let shared: string | undefined;
  let running: Promise<void> | undefined;
  const keep = async () => {
    shared = await share(store, shared ?? own);
  };
  return {
    async current() {
      if (shared === undefined) {
        // Requests that come together ask once.
        running ??= keep().finally(() => (running = undefined));
        await running.catch(() => undefined);
      }
      return Buffer.from(shared ?? own, 'base64url');
    },
    keep,
  };
}

/** What Redis has, after it was given ours if it had none. Read first: Redis may take no writes. */
async function share(store: SharedStore, ours: string): Promise<string> {
  const { redis, keys } = store;
  const found = await read(store);
  if (found !== undefined && SECRET.test(found)) return found;
  // Only over what somebody has written by hand: another replica may be doing the same.
  const { sessionSecret: key } = keys;
  await onRedis(() => (found === undefined ? redis.set(key, ours, 'NX') : redis.set(key, ours)));
  const stored = (await read(store)) ?? '';
  return SECRET.test(stored) ? stored : ours;
}

/** Undefined when there is none. */
async function read({ redis, keys }: SharedStore): Promise<string | undefined> {
  try {
    return (await onRedis(() => redis.get(keys.sessionSecret))) ?? undefined;
  } catch (error) {
    if (isWrongType(error)) return 'spoiled';
    throw error;
  }
}
