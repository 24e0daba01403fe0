import { onRedis } from './redis.ts';
import type { CredentialId } from './keys.ts';
import type { Store } from './store.ts';

/**
 * When to look at each authorizer next, so that a sweep costs what is due and not what exists. It is
 * a hint: a record in it too early is looked at once for nothing, and each look corrects it.
 */

/** @throws KeeperError `store_unavailable` */
export async function planLook(store: Store, id: CredentialId, at: number): Promise<void> {
  const [component = '', authorizer = ''] = id.subject.split(':');
  await onRedis(() => store.redis.zadd(store.keys.due(id.kind, component), at, authorizer));
}

/** Takes an authorizer out: nothing will ever be due again. @throws KeeperError */
export async function forgetLook(store: Store, id: CredentialId): Promise<void> {
  const [component = '', authorizer = ''] = id.subject.split(':');
  await onRedis(() => store.redis.zrem(store.keys.due(id.kind, component), authorizer));
}

/**
 * The credentials of one component that are due by `now` (epoch ms), those that waited longest first.
 * @throws KeeperError `store_unavailable`
 */
export async function dueLooks(
  store: Store,
  kind: CredentialId['kind'],
  component: string,
  now: number,
  limit: number,
): Promise<CredentialId[]> {
  const authorizers = await onRedis(() =>
    store.redis.zrangebyscore(store.keys.due(kind, component), '-inf', now, 'LIMIT', 0, limit),
  );
  return authorizers.map((authorizer) => ({ kind, subject: `${component}:${authorizer}` }));
}
