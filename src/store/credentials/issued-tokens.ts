import { hash } from 'node:crypto';
import { onDisplayKey, onRedis } from '../redis/connection.ts';
import type { CredentialId, CredentialKindName } from '../redis/keys.ts';
import type { Store } from '../redis/store.ts';

/**
 * Whose a token is. Several of WeChat's calls name no secret but only a token, which by then may have been
 * replaced: what was handed out in WeChat's own form is known here for a while beyond its life, by its hash.
 */

export interface IssuedToken {
  id: CredentialId;
  seq: number;
  /** Id of the API key that it was handed out to. */
  key: string;
}

/** Milliseconds beyond its end for which a token is known: a cache may hold it longer than it lives. */
const KNOWN_BEYOND_MS = 86_400_000;

/** @throws KeeperError `store_unavailable` */
export async function noteIssued(
  { keys, redis }: Store,
  token: string,
  { id, seq, key }: IssuedToken,
  expiresInMs: number,
): Promise<void> {
  const text = `${id.kind} ${id.subject} ${seq} ${key}`;
  const lifeMs = Math.max(0, Math.ceil(expiresInMs)) + KNOWN_BEYOND_MS;
  await onRedis(() => redis.set(keys.issued(hashOf(token)), text, 'PX', lifeMs));
}

/** Undefined when nobody was handed this token here. @throws KeeperError `store_unavailable` */
export async function findIssued(
  { keys, redis }: Store,
  token: string,
): Promise<IssuedToken | undefined> {
  const text = await onDisplayKey(() => redis.get(keys.issued(hashOf(token))), null);
  const [kind, subject, seq, key] = text?.split(' ') ?? [];
  if (kind === undefined || subject === undefined || key === undefined) return undefined;
  return { id: { kind: kind as CredentialKindName, subject }, seq: Number(seq), key };
}

/** Nobody learns a token from its key. */
function hashOf(token: string): string {
  return hash('sha256', token).slice(0, 32);
}
