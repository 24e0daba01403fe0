import { onRedis } from './connection.ts';
import { loadScript, runScript } from './scripts.ts';
import type { Store } from './store.ts';

/**
 * Work that one replica does at a time. A lease only saves work: whoever loses one in the middle does no
 * harm, because every step of such work can be done twice.
 */

const takeScript = loadScript('redis/take-lease');
const giveBackScript = loadScript('redis/give-lease-back');

/**
 * Takes a lease, or holds on to one that is ours, for `ms` from now.
 * @throws KeeperError `store_unavailable`
 */
export async function takeLease(
  { redis }: Store,
  key: string,
  owner: string,
  ms: number,
): Promise<boolean> {
  return (await onRedis(() => runScript(redis, takeScript, [key], [owner, ms]))) === 1;
}

/** @throws KeeperError `store_unavailable` */
export async function giveLeaseBack({ redis }: Store, key: string, owner: string): Promise<void> {
  await onRedis(() => runScript(redis, giveBackScript, [key], [owner]));
}
