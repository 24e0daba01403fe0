import { groupBy } from '../../lib/group.ts';
import { onRedis } from '../redis/connection.ts';
import type { CredentialId } from '../redis/keys.ts';
import { byShard } from '../redis/shards.ts';
import type { Store } from '../redis/store.ts';

/** What little of a credential tells whether it is still as it was. */
export interface Peek {
  mirror: string | undefined;
  value: string | undefined;
  expiresAt: number;
  seq: number;
  authEpoch: number;
  hasRefreshToken: boolean;
  /** When it is looked at next, epoch ms; undefined when nobody has planned it. */
  plannedAt: number | undefined;
}

const FIELDS = ['seq', 'auth_epoch', 'refresh_token', 'value', 'expires_at'] as const;

/** What stands in a record and beside it: the mirror, and the fields. */
type Looked = readonly [mirror: string | null, record: readonly (string | null)[] | null];

/**
 * Looks at many authorizers in one round trip, or in one for each shard of a cluster. A key of another
 * type, put there by hand, shows as if there were none.
 * @throws KeeperError `store_unavailable`
 */
export async function peekMany(store: Store, ids: readonly CredentialId[]): Promise<Peek[]> {
  const looked = new Map<CredentialId, Looked>();
  const planned = new Map<CredentialId, number>();
  const byComponent = groupBy(ids, (id) => store.keys.due(id.kind, partsOf(id)[0]));
  await onRedis(() =>
    Promise.all([
      ...byShard(store.redis, ids, (id) => store.keys.record(id)).map((some) =>
        look(store, some, looked),
      ),
      ...[...byComponent].map(([due, some]) => readPlans(store, due, some, planned)),
    ]),
  );
  return ids.map((id) => {
    const [mirror, record] = looked.get(id) ?? [];
    const [seq, authEpoch, refreshToken, value, expiresAt] = record ?? [];
    return {
      mirror: mirror ?? undefined,
      value: value ?? undefined,
      expiresAt: Number(expiresAt ?? 0),
      seq: Number(seq ?? 0),
      authEpoch: Number(authEpoch ?? 0),
      hasRefreshToken: typeof refreshToken === 'string',
      plannedAt: planned.get(id),
    };
  });
}

function partsOf({ subject }: CredentialId): [component: string, authorizer: string] {
  const [component = '', authorizer = ''] = subject.split(':');
  return [component, authorizer];
}

async function look(
  { redis, keys }: Store,
  ids: readonly CredentialId[],
  found: Map<CredentialId, Looked>,
): Promise<void> {
  const pipeline = redis.pipeline();
  for (const id of ids) pipeline.get(keys.mirror(id)).hmget(keys.record(id), ...FIELDS);
  const replies = (await pipeline.exec()) ?? [];
  // A pipeline does not reject: that Redis is silent must not look like 100,000 lost records.
  const trouble = replies.find(([error]) => error !== null && !error.message.includes('WRONGTYPE'));
  if (trouble?.[0]) throw trouble[0];
  for (const [index, id] of ids.entries()) {
    const both = replies.slice(index * 2, index * 2 + 2);
    found.set(
      id,
      both.map(([error, reply]) => (error === null ? reply : null)) as unknown as Looked,
    );
  }
}

async function readPlans(
  { redis }: Store,
  due: string,
  ids: readonly CredentialId[],
  found: Map<CredentialId, number>,
): Promise<void> {
  const scores = await redis
    .zmscore(due, ...ids.map((id) => partsOf(id)[1]))
    .catch(noneOfOtherType);
  for (const [index, id] of ids.entries()) {
    const score = scores[index] ?? null;
    if (score !== null) found.set(id, Number(score));
  }
}

function noneOfOtherType(error: unknown): (string | null)[] {
  if (error instanceof Error && error.message.includes('WRONGTYPE')) return [];
  throw error;
}
