import { Cluster, Command, type Redis } from 'ioredis';
import type { Clock } from '../../lib/clock.ts';
import { groupBy } from '../../lib/group.ts';
import type { Log } from '../../lib/log.ts';
import type { RedisClient } from './client.ts';
import { healthOf } from './health.ts';

/** What is many servers in a cluster, and one everywhere else. */

/** Those that take writes. */
export function mastersOf(redis: RedisClient): Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

const SHARD_AWAY = 'SHARD_AWAY';
const NO_MASTER = 'No master of the cluster is known';

/** Its message is the address of the server. */
class ShardAwayError extends Error {
  override name = 'ShardAwayError';
  readonly code = SHARD_AWAY;
}

/**
 * Asks each of them.
 * @throws what one of them throws; in a cluster, where the client itself is in order, it is named when it
 *   does not answer
 */
export function eachMaster<T>(
  redis: RedisClient,
  question: (master: Redis) => Promise<T>,
): Promise<T[]> {
  const ask = async (master: Redis) => {
    try {
      return await question(master);
    } catch (cause) {
      if (!(redis instanceof Cluster) || (cause as Error).name === 'ReplyError') throw cause;
      throw new ShardAwayError(addressOf(master), { cause });
    }
  };
  const masters = mastersOf(redis);
  // A cluster of which no node is left would look as if each of them had answered.
  if (masters.length === 0) return Promise.reject(new Error(NO_MASTER));
  return Promise.all(masters.map(ask));
}

/** Its host and port. */
export function addressOf({ options: { host = '', port = 0 } }: Redis): string {
  return `${host}:${port}`;
}

/** Their connections; none before the first is made. */
export function streamsOf(redis: RedisClient): Redis['stream'][] {
  const streams = mastersOf(redis).map(({ stream }) => stream as Redis['stream'] | undefined);
  return streams.filter((stream) => stream !== undefined);
}

/**
 * Sorts by the servers on which the keys are, since a pipeline goes to one of them.
 * @param keyOf a key, or what stands in its braces
 */
export function byShard<T>(
  redis: RedisClient,
  items: readonly T[],
  keyOf: (item: T) => string,
): T[][] {
  if (!(redis instanceof Cluster)) return items.length === 0 ? [] : [[...items]];
  const serversOf = (item: T) => redis.slots[slotOf(keyOf(item))]?.join() ?? '';
  return [...groupBy(items, serversOf).values()];
}

function slotOf(key: string): number {
  return new Command('GET', [key]).getSlot();
}

/** Tags that are tried until each shard has one: with a thousand none of ten shards is missed. */
const MOST_TAGS = 1_000;

/** A master, and what it serves. */
export interface Shard {
  /** Stands in the braces of keys that are there. */
  tag: string;
  /** Its host and port; undefined where there is only one. */
  address: string | undefined;
  master: RedisClient;
}

/** @param name the tags begin with it */
export function shardsOf(redis: RedisClient, name: string): Shard[] {
  const whole = { tag: name, address: undefined, master: redis };
  if (!(redis instanceof Cluster)) return [whole];
  const masters = mastersOf(redis);
  const shards = new Map<string, Shard>();
  for (let number = 0; number < MOST_TAGS && shards.size < masters.length; number += 1) {
    const tag = number === 0 ? name : `${name}${number}`;
    const [address] = redis.slots[slotOf(tag)] ?? [];
    const master = masters.find((one) => addressOf(one) === address);
    if (address === undefined || master === undefined || shards.has(address)) continue;
    shards.set(address, { tag, address, master });
  }
  return shards.size === 0 ? [whole] : [...shards.values()];
}

const listeners = new WeakMap<RedisClient, Set<() => void>>();

/**
 * Calls when Redis is there, for the first time or again. In a cluster also when one of its shards has
 * another master, or one that was restarted: the last writes may be gone there.
 */
export function whenBack(redis: RedisClient, listener: () => void): void {
  redis.on('ready', listener);
  listeners.set(redis, (listeners.get(redis) ?? new Set()).add(listener));
}

/** After so many milliseconds without a shard a person must act. */
export const AWAY_ALARM_MS = 15 * 60 * 1000;

/** Milliseconds between two looks at who serves which slot: a failover need not break a connection. */
const SLOTS_EVERY_MS = 5_000;
/** Milliseconds after which is asked again who serves a slot whose master does not answer. */
const LOOK_AGAIN_MS = 500;

/**
 * Looks at the masters of a cluster whenever the client has asked who serves which slot, each few seconds
 * and whenever something failed: it has no event for the return of one shard.
 */
export function watchShards(cluster: Cluster, log: Log, clock: Clock): void {
  let known: Set<string> | undefined;
  let looking = false;
  let [resting, planned] = [false, false];
  // A master that refuses connections is lost again at each look: without a rest a hundred times a second.
  const ask = () => {
    if (resting || cluster.status !== 'ready') return;
    resting = true;
    setTimeout(() => (resting = false), LOOK_AGAIN_MS).unref();
    cluster.refreshSlotsCache();
  };
  const askLater = () => {
    if (planned) return;
    planned = true;
    setTimeout(() => {
      planned = false;
      ask();
    }, LOOK_AGAIN_MS).unref();
  };
  const away = new Map<string, { since: number; alarmed: boolean }>();
  const look = async () => {
    const found = await Promise.all(cluster.nodes('master').map(readReplicationId));
    // It was told to end, or has lost them all and begins anew.
    if (cluster.status !== 'ready') return;
    const silent = found.flatMap(({ server, id }) => (id === undefined ? [server] : []));
    tellAway(away, silent, log, clock);
    noteAway(cluster, silent);
    const ids = new Set(found.flatMap(({ id }) => id ?? []));
    const before = known;
    if (silent.length === 0) known = ids;
    else askLater();
    const isNew = [...ids].some((id) => before?.has(id) === false);
    if (before === undefined || !isNew) return;
    known = new Set([...before, ...ids]);
    log.info('a shard of the Redis cluster has another master, or was restarted');
    for (const listener of listeners.get(cluster) ?? []) listener();
  };
  const lookOnce = () => {
    // Before, a node that is asked would be connecting, and the client takes that for a failure of its own.
    if (looking || cluster.status !== 'ready') return;
    looking = true;
    void look().finally(() => (looking = false));
  };
  cluster.on('ready', lookOnce);
  cluster.on('-node', ask);
  cluster.on('refresh', lookOnce);
  // Not the client's own interval: told to end while that asks, it begins again and keeps the process alive.
  const timer = setInterval(ask, SLOTS_EVERY_MS).unref();
  cluster.once('end', () => clearInterval(timer));
}

/** It changes with every restart and failover: see `record.lua`. */
async function readReplicationId(node: Redis): Promise<{ server: string; id?: string }> {
  const server = addressOf(node);
  try {
    const [, id] = /master_replid:(\w+)/.exec(await node.info('replication')) ?? [];
    return { server, id: id ?? 'unknown' };
  } catch (error) {
    // Our user may not ask: that is an answer, too, and the self-test speaks of it.
    return (error as Error).message.startsWith('NOPERM') ? { server, id: 'unknown' } : { server };
  }
}

/** Commands to it only time out: whoever asks why shall hear of it. */
function noteAway(cluster: Cluster, [silent]: readonly string[]): void {
  const health = healthOf(cluster);
  if (health === undefined || (health.trouble?.word ?? SHARD_AWAY) !== SHARD_AWAY) return;
  health.trouble = silent === undefined ? undefined : { word: SHARD_AWAY, words: silent };
}

/** Says once that a shard does not answer, once that a person must act, and once that it is back. */
function tellAway(
  away: Map<string, { since: number; alarmed: boolean }>,
  silent: readonly string[],
  log: Log,
  clock: Clock,
): void {
  for (const server of away.keys()) {
    if (silent.includes(server)) continue;
    away.delete(server);
    log.info('a master of the Redis cluster answers again, or is none any more', { server });
  }
  for (const server of silent) {
    const one = away.get(server);
    if (one === undefined) {
      away.set(server, { since: clock.monotonic(), alarmed: false });
      log.warn('a master of the Redis cluster does not answer', { server });
    } else if (!one.alarmed && clock.monotonic() - one.since >= AWAY_ALARM_MS) {
      one.alarmed = true;
      log.error(
        'a shard of the Redis cluster has been away for 15 minutes: what it holds is neither stored nor refreshed',
        { server },
      );
    }
  }
}
