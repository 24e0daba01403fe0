import { onDisplayKey, onRedis } from '../redis/connection.ts';
import type { DeliveryQueues } from '../redis/keys.ts';
import { loadDeliveryScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';
import { DELIVERY_KEPT_MS } from '../tickets/push.ts';
import { attemptField, readScored } from './kept-push.ts';

/**
 * Deliveries on their way: of each target of a component those that were never tried, those to be tried
 * again, those under way and those given up. Times are epoch ms by the store's clock.
 */

const claimScript = loadDeliveryScript('deliveries/claim');
const settleScript = loadDeliveryScript('deliveries/settle');
const moveScript = loadDeliveryScript('deliveries/move');

/** Milliseconds for which a delivery is nobody else's: longer than an attempt takes. */
export const LEASE_MS = 30_000;
/** Failures in a row from which a target is left alone, and milliseconds for which. */
const CIRCUIT = { failures: 5, firstMs: 5_000, mostMs: 300_000 };
/** Milliseconds for which a target can want to be left alone. */
export const MOST_PAUSE_MS = 3_600_000;
/** Milliseconds between two attempts at the most. */
const MOST_AGAIN_MS = 12 * 3_600_000;
/** Milliseconds for which a reply is kept: WeChat repeats a push twice, 5 s apart. Source: message_push. */
const REPLY_KEPT_MS = 60_000;
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
    ...[time.forScripts() ?? '', LEASE_MS, DELIVERY_KEPT_MS, MOST_PAUSE_MS, MOST_AGAIN_MS],
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
  const own = [keys.push(component, id), keys.reply(component, id)];
  const names = [again, lease, dead, fresh, attempts, queues.target, ...own];
  const now = time.now();
  const args = [
    ...[id, attempt, outcome, now, now + settled.againInMs, told, attemptField(target, attempt)],
    settled.asked ? '1' : '',
    ...[CIRCUIT.failures, CIRCUIT.firstMs, CIRCUIT.mostMs, pauseMs ?? ''],
    ...[SHOWN_MS.delivered, SHOWN_MS.troubled, reply ?? '', DELIVERY_KEPT_MS],
    ...[now - settled.tookMs, settled.replied ?? '', REPLY_KEPT_MS],
  ];
  return (await onRedis(() => runScript(redis, settleScript, names, args))) === 'done';
}

/** Dead letters and when they were given up, the oldest first. @throws KeeperError `store_unavailable` */
export function readDead(
  { redis, keys }: Store,
  component: string,
  target: string,
  most: number,
): Promise<{ id: string; at: number }[]> {
  const key = keys.deliveries(component, target).dead;
  return onDisplayKey(() => readScored(redis, key, most), []);
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
