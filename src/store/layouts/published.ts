import { onRedis } from '../redis/connection.ts';
import type { RedisClient } from '../redis/client.ts';
import type { CredentialId } from '../redis/keys.ts';
import { loadScript, runScript } from '../redis/scripts.ts';
import { byShard } from '../redis/shards.ts';
import type { Store } from '../redis/store.ts';

/** Keys that are published for applications: looking at them, changing them, and what belongs there. */

/** What a key holds: nothing, another type than a string, or a text. */
export type Held = '-' | '!' | `=${string}`;

export interface FoundKey {
  held: Held;
  /** Milliseconds; -1 without an end, -2 where there is no key. */
  lifeMs: number;
}

const putScript = loadScript('layouts/put-published');

/** @throws KeeperError `store_unavailable` */
export async function lookAtPublished(
  redis: RedisClient,
  names: readonly string[],
): Promise<Map<string, FoundKey>> {
  const found = new Map<string, FoundKey>();
  const look = async (some: readonly string[]) => {
    const pipeline = redis.pipeline();
    for (const name of some) pipeline.get(name).pttl(name);
    const replies = await execute(pipeline);
    for (const [index, name] of some.entries()) {
      const [text, lifeMs] = [replies[index * 2], replies[index * 2 + 1]];
      const held = typeof text === 'string' ? (`=${text}` as const) : text === null ? '-' : '!';
      found.set(name, { held, lifeMs: Number(lifeMs ?? -2) });
    }
  };
  await onRedis(() => Promise.all(byShard(redis, names, (name) => name).map(look)));
  return found;
}

/**
 * @param lifeMs of what is put there
 * @returns whether it still held what was found
 * @throws KeeperError `store_unavailable`
 */
export async function putPublished(
  redis: RedisClient,
  name: string,
  found: Held,
  wanted: Exclude<Held, '!'>,
  lifeMs: number,
): Promise<boolean> {
  const args = [found, wanted, Math.max(1, Math.ceil(lifeMs))];
  return (await onRedis(() => runScript(redis, putScript, [name], args))) === 1;
}

/** What of a credential decides what is published. */
export interface PublishedSource {
  value: string | undefined;
  /** Epoch ms. */
  expiresAt: number;
  obtainedAt: number;
  seq: number;
  /** A single-use value that nobody was given yet; of others it says nothing. */
  untaken: boolean;
  /** Whether the authorization stands; of what needs none, true. */
  stands: boolean;
  hasRefreshToken: boolean;
  /** The same for as long as nothing of it has changed. */
  mark: string;
}

const FIELDS = [
  'value',
  'expires_at',
  'obtained_at',
  'seq',
  'committed_op',
  'revoked_at',
  'refresh_token',
] as const;

/**
 * Reads many at once. A key of another type, put there by hand, shows as if there were none.
 * @throws KeeperError `store_unavailable`
 */
export async function readSources(
  { redis, keys }: Store,
  ids: readonly CredentialId[],
): Promise<PublishedSource[]> {
  const found = new Map<CredentialId, PublishedSource>();
  const read = async (some: readonly CredentialId[]) => {
    const pipeline = redis.pipeline();
    for (const id of some) pipeline.get(keys.mirror(id)).hmget(keys.record(id), ...FIELDS);
    const replies = await execute(pipeline);
    for (const [index, id] of some.entries()) {
      const [mirror, record] = [replies[index * 2], replies[index * 2 + 1]];
      found.set(id, sourceOf(id, mirror, Array.isArray(record) ? record : []));
    }
  };
  await onRedis(() => Promise.all(byShard(redis, ids, (id) => keys.record(id)).map(read)));
  return ids.map((id) => found.get(id) ?? sourceOf(id, null, []));
}

function sourceOf(
  { kind }: CredentialId,
  mirror: unknown,
  record: readonly (string | null | undefined)[],
): PublishedSource {
  const texts = record.map((text) => text ?? undefined);
  const [value, expiresAt = 0, obtainedAt = 0, seq = 0, operation, revokedAt, refreshToken] = texts;
  return {
    value,
    expiresAt: Number(expiresAt),
    obtainedAt: Number(obtainedAt),
    seq: Number(seq),
    untaken: value !== undefined && mirror === value,
    stands: revokedAt === undefined,
    hasRefreshToken: refreshToken !== undefined,
    mark: markOf(kind, {
      seq: Number(seq),
      committedOp: operation,
      revokedAt: revokedAt === undefined ? undefined : Number(revokedAt),
      storedRefreshToken: refreshToken,
      taken: mirror !== value,
    }),
  };
}

/** What is published changes with nothing else of a record. */
export function markOf(
  kind: CredentialId['kind'],
  record: {
    seq: number;
    committedOp: string | undefined;
    revokedAt: number | undefined;
    storedRefreshToken: string | undefined;
    taken: boolean;
  },
): string {
  const taken = kind === 'pre_auth_code' && record.taken;
  const tokens = record.storedRefreshToken === undefined ? 0 : 1;
  return `${record.seq} ${record.committedOp ?? ''} ${record.revokedAt ?? ''} ${tokens} ${taken}`;
}

/** A pipeline does not reject: that Redis is silent, or forbids it, must not look like missing keys. */
async function execute(pipeline: ReturnType<RedisClient['pipeline']>): Promise<unknown[]> {
  const replies = (await pipeline.exec()) ?? [];
  const trouble = replies.find(([error]) => error !== null && !error.message.includes('WRONGTYPE'));
  if (trouble?.[0]) throw trouble[0];
  return replies.map(([error, reply]) => (error === null ? reply : undefined));
}
