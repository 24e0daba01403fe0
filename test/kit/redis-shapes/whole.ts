import type { RedisClient } from '../../../src/store/redis/client.ts';
import { mastersOf } from '../../../src/store/redis/shards.ts';

/** What a cluster does not do over all of its nodes by itself. */

export async function keysLike(redis: RedisClient, pattern: string): Promise<string[]> {
  return (await Promise.all(mastersOf(redis).map((node) => node.keys(pattern)))).flat();
}

/** Keys of any slots. */
export async function remove(redis: RedisClient, names: readonly string[]): Promise<void> {
  await Promise.all(names.map((name) => redis.del(name)));
}

/** Values under keys of any slots, in their order. */
export function valuesOf(redis: RedisClient, names: readonly string[]): Promise<(string | null)[]> {
  return Promise.all(names.map((name) => redis.get(name)));
}
