import { onDisplayKey, onRedis } from '../redis/connection.ts';
import { loadDeliveryScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';
import { DELIVERY_KEPT_MS } from '../tickets/push.ts';

/** What is kept of a push while it is delivered, and pushes that are held back. */

const releaseScript = loadDeliveryScript('deliveries/release');

const ATTEMPT = /^try:([\w-]+):(\d+)$/;

/** Of what is kept: what people read of one attempt. */
export function attemptField(target: string, attempt: number): string {
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
  const read = () => redis.hgetall(keys.push(component, id));
  // Without this, one that somebody has spoiled would be handed out for ever.
  const hash = await onDisplayKey<Record<string, string>>(read, {});
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

/** The reply that a user was given to a push, for WeChat's repeats of it. */
export async function readReply(
  { redis, keys }: Store,
  component: string,
  id: string,
): Promise<string | undefined> {
  return (await onRedis(() => redis.get(keys.reply(component, id)))) ?? undefined;
}

/** @throws KeeperError `store_unavailable` */
export async function hasHeldPushes({ redis, keys }: Store, component: string): Promise<boolean> {
  return (await onDisplayKey(() => redis.zcard(keys.heldPushes(component)), 0)) > 0;
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

/** Whether it waits for its authorization code. @throws KeeperError `store_unavailable` */
export async function isHeld(
  { redis, keys }: Store,
  component: string,
  id: string,
): Promise<boolean> {
  return (await onDisplayKey(() => redis.zscore(keys.heldPushes(component), id), null)) !== null;
}

/** The first members of a sorted set of pushes. @throws KeeperError `store_unavailable` */
export async function readScored(redis: Store['redis'], key: string, most: number) {
  const flat = await onRedis(() => redis.zrange(key, '0', String(most - 1), 'WITHSCORES'));
  return Array.from({ length: flat.length / 2 }, (_, at) => ({
    id: flat[2 * at] ?? '',
    at: Number(flat[2 * at + 1]),
  }));
}
