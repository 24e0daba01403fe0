import { onRedis } from '../redis/connection.ts';
import { loadScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';

/**
 * What people were told of problems, and what they are still to be told: fields and texts of one hash,
 * which one replica at a time writes. A message is owed from the moment at which its cause is written
 * down, so that no crash loses it.
 */

export type AlertFields = ReadonlyMap<string, string>;

export interface TakenAlerts {
  /** `lost`: ours to tell, and Redis has lost what was written, or nothing ever was. */
  turn: 'mine' | 'other' | 'lost';
  fields: AlertFields;
}

export interface AlertChange {
  set: Readonly<Record<string, string>>;
  forget: readonly string[];
}

const takeScript = loadScript('operations/take-alerts');
const saveScript = loadScript('operations/save-alerts');
const leaveScript = loadScript('operations/leave-alerts');

const OWN_FIELDS = ['teller', 'teller_until', 'kept'];

/**
 * Makes this replica the one that tells, for `ms` of the store's clock from now, unless another one is.
 * @throws KeeperError `store_unavailable`
 */
export async function takeAlerts(
  { redis, keys, time }: Store,
  replica: string,
  ms: number,
): Promise<TakenAlerts> {
  const args = [replica, ms, time.forScripts() ?? ''];
  const reply = await onRedis(() => runScript(redis, takeScript, [keys.alerts], args));
  const [turn, ...texts] = reply as [TakenAlerts['turn'], ...string[]];
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < texts.length; at += 2) fields.set(texts[at] ?? '', texts[at + 1] ?? '');
  for (const own of OWN_FIELDS) fields.delete(own);
  return { turn, fields };
}

/**
 * Resolves with false, and changes nothing, when another replica has taken over.
 * @throws KeeperError `store_unavailable`
 */
export async function saveAlerts(
  { redis, keys }: Store,
  replica: string,
  change: AlertChange,
): Promise<boolean> {
  const args = [replica, JSON.stringify(change)];
  return (await onRedis(() => runScript(redis, saveScript, [keys.alerts], args))) === 1;
}

/** Notes that a message was sent. @throws KeeperError `store_unavailable` */
export async function forgetAlertField({ redis, keys }: Store, field: string): Promise<void> {
  await onRedis(() => redis.hdel(keys.alerts, field));
}

/** For a replica that stops: another one goes on at once. @throws KeeperError `store_unavailable` */
export async function leaveAlerts({ redis, keys }: Store, replica: string): Promise<void> {
  await onRedis(() => runScript(redis, leaveScript, [keys.alerts], [replica]));
}
