import { onDisplayKey, onRedis } from '../redis/connection.ts';
import { loadScript, runScript } from '../redis/scripts.ts';
import type { CredentialId } from '../redis/keys.ts';
import type { Store } from '../redis/store.ts';

/**
 * When to look at each authorizer next, so that a tick costs what is due and not what exists. It is
 * a hint: a record in it too early is looked at once for nothing, and each look corrects it.
 */

const claimScript = loadScript('authorizers/claim-due');

/** @throws KeeperError `store_unavailable` */
export async function planCheck(store: Store, id: CredentialId, at: number): Promise<void> {
  const [component = '', authorizer = ''] = id.subject.split(':');
  await onRedis(() => store.redis.zadd(store.keys.due(id.kind, component), at, authorizer));
}

/**
 * Takes an authorizer out of which nothing will be due again. Whoever brings a refresh token writes it
 * before planning the look: so one that came meanwhile is seen here, and its plan is made again.
 * @throws KeeperError `store_unavailable`
 */
export async function forgetCheck(store: Store, id: CredentialId): Promise<void> {
  const { redis, keys, time } = store;
  const [component = '', authorizer = ''] = id.subject.split(':');
  await onRedis(() => redis.zrem(keys.due(id.kind, component), authorizer));
  const [refreshToken, ...ended] = await onRedis(() =>
    redis.hmget(keys.record(id), 'refresh_token', 'revoked_at', 'reauthorize_at'),
  );
  const stands = typeof refreshToken === 'string' && ended.every((at) => at === null);
  if (stands) await planCheck(store, id, time.now());
}

/** Milliseconds for which who was handed out to one replica is nobody else's: longer than a mint. */
const CLAIM_MS = 30_000;

/** How fast authorizers may be refreshed, of one component and by all replicas together. */
export interface RateLimit {
  perSecond: number;
  /** After a pause. */
  burst: number;
}

/**
 * Takes up to `limit` authorizers that are due, those that waited longest first. Nobody else is given
 * them while they are worked on; a replica that dies meanwhile leaves them to the others.
 * @returns `moreInMs`: when to come again because more is due; undefined when that was all
 * @throws KeeperError `store_unavailable`
 */
export async function claimDue(
  { redis, keys, time }: Store,
  kind: CredentialId['kind'],
  component: string,
  limit: number,
  { perSecond, burst }: RateLimit,
): Promise<{ ids: CredentialId[]; moreInMs: number | undefined }> {
  const touched = [keys.due(kind, component), keys.pace(component)];
  const args = [time.forScripts() ?? '', limit, CLAIM_MS, perSecond, burst];
  const [wait, ...appids] = (await onRedis(() => runScript(redis, claimScript, touched, args))) as [
    number,
    ...string[],
  ];
  return {
    ids: appids.map((authorizer) => ({ kind, subject: `${component}:${authorizer}` })),
    moreInMs: wait === 0 ? undefined : wait,
  };
}

/**
 * How many authorizers of one component are due and in nobody's hands, and since when the first of them.
 * @throws KeeperError `store_unavailable`
 */
export async function dueBacklog(
  { redis, keys, time }: Store,
  kind: CredentialId['kind'],
  component: string,
): Promise<{ planned: number; due: number; oldestAt: number | undefined }> {
  const key = keys.due(kind, component);
  const [planned, due, first] = await onDisplayKey<[number, number, string[]]>(
    () =>
      Promise.all([
        redis.zcard(key),
        redis.zcount(key, '-inf', time.now()),
        redis.zrange(key, '0', '0', 'WITHSCORES'),
      ]),
    [0, 0, []],
  );
  return { planned, due, oldestAt: due === 0 ? undefined : Number(first[1]) };
}
