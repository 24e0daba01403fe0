import { onRedis } from '../redis/connection.ts';
import type { CredentialId } from '../redis/keys.ts';
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

/**
 * Looks at many authorizers in one round trip. A key of another type, put there by
 * hand, shows as if there were none.
 * @throws KeeperError `store_unavailable`
 */
export async function peekMany(
  { redis, keys }: Store,
  ids: readonly CredentialId[],
): Promise<Peek[]> {
  const pipeline = redis.pipeline();
  for (const id of ids) {
    const [component = '', authorizer = ''] = id.subject.split(':');
    pipeline.get(keys.mirror(id));
    pipeline.hmget(keys.record(id), ...FIELDS);
    pipeline.zscore(keys.due(id.kind, component), authorizer);
  }
  const replies = await onRedis(async () => {
    const all = (await pipeline.exec()) ?? [];
    // A pipeline does not reject: that Redis is silent must not look like 100,000 lost records.
    const trouble = all.find(([error]) => error !== null && !error.message.includes('WRONGTYPE'));
    if (trouble?.[0]) throw trouble[0];
    return all;
  });
  return ids.map((_, index) => {
    const [mirror, record, planned] = replies
      .slice(index * 3, index * 3 + 3)
      .map(([error, reply]) => (error === null ? reply : null)) as [
      string | null,
      (string | null)[] | null,
      string | null,
    ];
    const [seq, authEpoch, refreshToken, value, expiresAt] = record ?? [];
    return {
      mirror: mirror ?? undefined,
      value: value ?? undefined,
      expiresAt: Number(expiresAt ?? 0),
      seq: Number(seq ?? 0),
      authEpoch: Number(authEpoch ?? 0),
      hasRefreshToken: typeof refreshToken === 'string',
      plannedAt: planned === null ? undefined : Number(planned),
    };
  });
}
