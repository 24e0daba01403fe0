import { onDisplayKey, onRedis } from '../redis/connection.ts';
import type { DeliveryQueues } from '../redis/keys.ts';
import { loadDeliveryScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';
import { DELIVERY_KEPT_MS } from '../tickets/push.ts';

/**
 * Deliveries on their way: of each target of a component those that were never tried, those to be tried
 * again, those under way and those given up. Times are epoch ms by the store's clock.
 */

const claimScript = loadDeliveryScript('deliveries/claim');
const settleScript = loadDeliveryScript('deliveries/settle');
const moveScript = loadDeliveryScript('deliveries/move');
const releaseScript = loadDeliveryScript('deliveries/release');

/** Milliseconds for which a delivery is nobody else's: longer than an attempt takes. */
export const LEASE_MS = 30_000;
/** Failures in a row from which a target is left alone, and milliseconds for which. */
const CIRCUIT = { failures: 5, firstMs: 5_000, mostMs: 300_000 };
/** Milliseconds for which a target can want to be left alone. */
export const MOST_PAUSE_MS = 3_600_000;
/** Milliseconds for which people can see what became of a push. */
const SHOWN_MS = { delivered: 3_600_000, troubled: 48 * 3_600_000 };
/** Pushes that one script moves. */
const MOST_MOVED = 100;

/** How much of a target may be had. */
export interface ClaimedTarget {
  name: string;
  /** Deliveries that the caller could begin with now. */
  free: number;
  /** Of all callers together. */
  concurrency: number;
  perSecond: number;
}

export interface ClaimedDelivery {
  target: string;
  id: string;
  /** The first is 1; an attempt inside the answer to WeChat is 0. */
  attempt: number;
}

/**
 * @returns `moreInMs`: when to come again, because more waits; undefined when nothing does
 * @throws KeeperError `store_unavailable`
 */
export async function claimDeliveries(
  { redis, keys, time }: Store,
  component: string,
  targets: readonly ClaimedTarget[],
): Promise<{ claimed: ClaimedDelivery[]; moreInMs: number | undefined }> {
  const names = targets.flatMap(({ name }) => {
    const { fresh, again, leased, replying, attempts, target } = keys.deliveries(component, name);
    return [fresh, again, leased, replying, attempts, target];
  });
  const args = [
    ...[time.forScripts() ?? '', LEASE_MS, DELIVERY_KEPT_MS, MOST_PAUSE_MS],
    ...targets.flatMap(({ free, concurrency, perSecond }) => [free, concurrency, perSecond]),
  ];
  const all = (await onRedis(() => runScript(redis, claimScript, names, args))) as [
    number,
    ...(string | number)[],
  ][];
  const claimed = all.flatMap(([, ...found], index) => {
    const target = targets[index]?.name ?? '';
    return Array.from({ length: found.length / 2 }, (_, at) => ({
      target,
      id: String(found[2 * at]),
      attempt: Number(found[2 * at + 1]),
    }));
  });
  const waits = all.map(([wait]) => wait).filter((wait) => wait >= 0);
  return { claimed, moreInMs: waits.length === 0 ? undefined : Math.min(...waits) };
}

/** `stop`: the target wants no more. `released`: it was not tried. */
export type AttemptOutcome = 'delivered' | 'again' | 'dead' | 'stop' | 'released';

export interface SettledAttempt extends ClaimedDelivery {
  outcome: AttemptOutcome;
  /** The target was called. */
  asked: boolean;
  /** Milliseconds. */
  tookMs: number;
  /** For people: how it went, as JSON. */
  told: string;
  /** Milliseconds until it is tried again. */
  againInMs: number;
  /** Milliseconds for which the target wants to be left alone. */
  pauseMs?: number | undefined;
  /** Told to the user: for WeChat's repeats. */
  reply?: string | undefined;
  /** Whether he was told what the target said; undefined when it was not asked for that. */
  replied?: 'told' | MissedReply | undefined;
}

/** Why a user got nothing of a target: see `ReplyOutcome`. */
export type MissedReply = 'late' | 'failed' | 'malformed';

/** @returns false when another attempt has begun meanwhile @throws KeeperError `store_unavailable` */
export async function settleDelivery(
  { redis, keys, time }: Store,
  component: string,
  settled: SettledAttempt,
): Promise<boolean> {
  const { target, id, attempt, outcome, told, pauseMs, reply } = settled;
  const queues = keys.deliveries(component, target);
  const { again, leased, replying, dead, fresh, attempts } = queues;
  const lease = attempt === 0 ? replying : leased;
  const names = [again, lease, dead, fresh, attempts, queues.target, keys.push(component, id)];
  const now = time.now();
  const args = [
    ...[id, attempt, outcome, now, now + settled.againInMs, told, attemptField(target, attempt)],
    settled.asked ? '1' : '',
    ...[CIRCUIT.failures, CIRCUIT.firstMs, CIRCUIT.mostMs, pauseMs ?? ''],
    ...[SHOWN_MS.delivered, SHOWN_MS.troubled, reply ?? '', DELIVERY_KEPT_MS],
    ...[now - settled.tookMs, settled.replied ?? ''],
  ];
  return (await onRedis(() => runScript(redis, settleScript, names, args))) === 'done';
}

const ATTEMPT = /^try:([\w-]+):(\d+)$/;

function attemptField(target: string, attempt: number): string {
  return `try:${target}:${attempt}`;
}

/** What is kept of a push. */
export interface KeptPush {
  fields: Readonly<Record<string, string>>;
  /** In the order in which they were made. */
  attempts: { target: string; attempt: number; told: string }[];
}

/** Undefined when it is not there any more. @throws KeeperError `store_unavailable` */
export async function readKeptPush(
  { redis, keys }: Store,
  component: string,
  id: string,
): Promise<KeptPush | undefined> {
  const hash = await onRedis(() => redis.hgetall(keys.push(component, id)));
  if (Object.keys(hash).length === 0) return undefined;
  const attempts = Object.entries(hash).flatMap(([name, told]) => {
    const [, target, number] = ATTEMPT.exec(name) ?? [];
    return target === undefined ? [] : [{ target, attempt: Number(number), told }];
  });
  attempts.sort((a, b) => a.target.localeCompare(b.target) || a.attempt - b.attempt);
  const fields = Object.fromEntries(Object.entries(hash).filter(([name]) => !ATTEMPT.test(name)));
  return { fields, attempts };
}

/** What a push that is held back waits for, and who gets it then. @throws KeeperError `store_unavailable` */
export async function readHeldPush(
  { redis, keys }: Store,
  component: string,
  id: string,
): Promise<{ awaits: string; targets: string[] }> {
  const read = () => redis.hmget(keys.push(component, id), 'awaits', 'targets');
  const [awaits, targets] = await onDisplayKey(read, []);
  return { awaits: awaits ?? '', targets: (targets ?? '').split(',').filter(Boolean) };
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

/** The reply that a user was given to a push, for WeChat's repeats of it. */
export async function readReply(
  { redis, keys }: Store,
  component: string,
  id: string,
): Promise<string | undefined> {
  return (await onRedis(() => redis.hget(keys.push(component, id), 'reply'))) ?? undefined;
}

/** Pushes that are held back, and when they came. @throws KeeperError `store_unavailable` */
export function readHeldPushes(
  { redis, keys }: Store,
  component: string,
  most: number,
): Promise<{ id: string; at: number }[]> {
  return readScored(redis, keys.heldPushes(component), most);
}

/** @throws KeeperError `store_unavailable` */
export async function releaseHeldPush(
  { redis, keys }: Store,
  component: string,
  held: { id: string; at: number },
  targets: readonly string[],
): Promise<void> {
  const fresh = targets.map((target) => keys.deliveries(component, target).fresh);
  const names = [keys.heldPushes(component), ...fresh];
  await onRedis(() => runScript(redis, releaseScript, names, [held.id, held.at, DELIVERY_KEPT_MS]));
}

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

/** Whether it waits for its authorization code. @throws KeeperError `store_unavailable` */
export async function isHeld(
  { redis, keys }: Store,
  component: string,
  id: string,
): Promise<boolean> {
  return (await onRedis(() => redis.zscore(keys.heldPushes(component), id))) !== null;
}

/** Dead letters and when they were given up, the oldest first. @throws KeeperError `store_unavailable` */
export function readDead(
  { redis, keys }: Store,
  component: string,
  target: string,
  most: number,
): Promise<{ id: string; at: number }[]> {
  return readScored(redis, keys.deliveries(component, target).dead, most);
}

/** The first members of a sorted set. */
async function readScored(redis: Store['redis'], key: string, most: number) {
  const flat = await onRedis(() => redis.zrange(key, '0', String(most - 1), 'WITHSCORES'));
  return Array.from({ length: flat.length / 2 }, (_, at) => ({
    id: flat[2 * at] ?? '',
    at: Number(flat[2 * at + 1]),
  }));
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

/** Where deliveries wait. */
export type Waiting = 'fresh' | 'again' | 'dead';

/**
 * Ids of those that wait, the oldest first.
 * @param until only of those until then, epoch ms
 * @throws KeeperError `store_unavailable`
 */
export async function waitingIn(
  { redis, keys }: Store,
  component: string,
  target: string,
  where: Waiting,
  { from = 0, until, most = MOST_MOVED }: { from?: number; until?: number; most?: number } = {},
): Promise<string[]> {
  const key = keys.deliveries(component, target)[where];
  const end = until ?? '+inf';
  return onDisplayKey(() => redis.zrangebyscore(key, from, end, 'LIMIT', 0, most), []);
}

/**
 * @param what `replay` tries them from the beginning, `give_up` makes dead letters of them, `drop` and
 *   `discard` forget them, `discard` because a person wants it
 * @param ids some hundred at the most: Redis does nothing else meanwhile
 * @returns how many were there
 * @throws KeeperError `store_unavailable`
 */
export async function moveDeliveries(
  { redis, keys, time }: Store,
  component: string,
  target: string,
  what: 'replay' | 'give_up' | 'drop' | 'discard',
  from: Waiting,
  ids: readonly string[],
): Promise<number> {
  if (ids.length === 0) return 0;
  const queues: DeliveryQueues = keys.deliveries(component, target);
  const to = what === 'give_up' ? queues.dead : queues.fresh;
  const pushes = ids.map((id) => keys.push(component, id));
  const names = [queues[from], to, queues.attempts, queues.target, ...pushes];
  const args = [what, time.now(), SHOWN_MS.troubled, DELIVERY_KEPT_MS, ...ids];
  return (await onRedis(() => runScript(redis, moveScript, names, args))) as number;
}
