import { onDisplayKey, onRedis } from '../redis/connection.ts';
import type { Store } from '../redis/store.ts';

/** How the targets of deliveries fare. */

/** How a target fares. Times are epoch ms. */
export interface TargetState {
  fresh: number;
  again: number;
  underWay: number;
  dead: number;
  /** When the oldest of those that wait came, or is due. */
  oldestAt: number | undefined;
  /** Of Redis, about. */
  bytes: number;
  delivered: number;
  failed: number;
  givenUp: number;
  dropped: number;
  droppedAt: number | undefined;
  failures: number;
  failingSince: number | undefined;
  openUntil: number | undefined;
  stoppedAt: number | undefined;
  resumedAt: number | undefined;
  deliveredAt: number | undefined;
  /** How the last attempt went, as JSON. */
  answered: string | undefined;
  /** Users in a row who got nothing, why the last one did, and when. */
  replyMisses: number;
  replyMissed: string | undefined;
  replyMissedAt: number | undefined;
  replyMissingSince: number | undefined;
}

/** @throws KeeperError `store_unavailable` */
export async function readTargetState(
  { redis, keys }: Store,
  component: string,
  target: string,
): Promise<TargetState> {
  const queues = keys.deliveries(component, target);
  const count = (key: string) => onDisplayKey(() => redis.zcard(key), 0);
  const first = (key: string) => {
    return onDisplayKey(() => redis.zrange(key, '0', '0', 'WITHSCORES'), []);
  };
  const [fresh, again, leased, replying, dead, oldest, next, hash] = await Promise.all([
    count(queues.fresh),
    count(queues.again),
    count(queues.leased),
    count(queues.replying),
    count(queues.dead),
    first(queues.fresh),
    first(queues.again),
    onDisplayKey<Record<string, string>>(() => redis.hgetall(queues.target), {}),
  ]);
  const number = (name: string) => (hash[name] === undefined ? undefined : Number(hash[name]));
  const moments = [oldest[1], next[1]].filter((one) => one !== undefined).map(Number);
  return {
    fresh,
    again,
    underWay: leased + replying,
    dead,
    oldestAt: moments.length === 0 ? undefined : Math.min(...moments),
    bytes: number('bytes') ?? 0,
    delivered: number('delivered') ?? 0,
    failed: number('failed') ?? 0,
    givenUp: number('given_up') ?? 0,
    dropped: number('dropped') ?? 0,
    droppedAt: number('dropped_at'),
    failures: number('failures') ?? 0,
    failingSince: number('failing_since'),
    openUntil: number('open_until'),
    stoppedAt: number('stopped_at'),
    resumedAt: number('resumed_at'),
    deliveredAt: number('delivered_at'),
    answered: hash.answered,
    replyMisses: number('reply_misses') ?? 0,
    replyMissed: hash.reply_missed,
    replyMissedAt: number('reply_missed_at'),
    replyMissingSince: number('reply_missing_since'),
  };
}

/**
 * How much of a target may be had just now: one that was left alone is tried with one at a time at first.
 * @throws KeeperError `store_unavailable`
 */
export async function mayBeAsked(
  { redis, keys, time }: Store,
  component: string,
  target: string,
): Promise<'freely' | 'by_one' | 'no'> {
  const key = keys.deliveries(component, target).target;
  const read = () => redis.hmget(key, 'stopped_at', 'open_until');
  const [stoppedAt, openUntil] = await onDisplayKey(read, []);
  if (typeof stoppedAt === 'string') return 'no';
  if (typeof openUntil !== 'string') return 'freely';
  return Number(openUntil) > time.now() ? 'no' : 'by_one';
}

/**
 * Notes that nothing waited there when so much was counted; what was planned since stays counted.
 * @throws KeeperError `store_unavailable`
 */
export async function forgetBytes(
  { redis, keys }: Store,
  component: string,
  target: string,
  bytes: number,
): Promise<void> {
  const key = keys.deliveries(component, target).target;
  await onDisplayKey(() => redis.hincrby(key, 'bytes', -bytes), 0);
}

/** Lets a target have deliveries again, at once. @throws KeeperError `store_unavailable` */
export async function resumeTarget(
  { redis, keys, time }: Store,
  component: string,
  target: string,
): Promise<void> {
  const key = keys.deliveries(component, target).target;
  await onRedis(() =>
    Promise.all([
      redis.hdel(key, 'stopped_at', 'open_until', 'failures', 'failing_since', 'failed_at'),
      redis.hset(key, 'resumed_at', time.now()),
    ]),
  );
}
