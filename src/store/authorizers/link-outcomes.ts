import { createHash } from 'node:crypto';
import * as z from 'zod';
import { onDisplayKey, onRedis, parseDisplay } from '../redis/connection.ts';
import { loadScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';

/**
 * Which account came by which start link: the one thing that no merchant can type into an address. A link
 * itself is stored nowhere; this begins when it is opened, and is kept when it has brought an account.
 */

/** What is remembered of a link, beside the accounts. */
export interface NotedLink {
  id: string;
  state: string | undefined;
  /** Epoch ms. */
  expiresAt: number;
}

export interface LinkOutcome extends NotedLink {
  /** Newest first. */
  authorizations: readonly { authorizer: string; authorizedAt: number }[];
}

/** Milliseconds after the end of a link for which it is known what it brought. */
const REMEMBERED_MS = 30 * 86_400_000;
/** Milliseconds for which a merchant may be at WeChat: its event may come by the last second of a code. */
const VISIT_MS = 4 * 3_600_000;

const noteScript = loadScript('authorizers/note-link');

const storedLink = z.object({
  id: z.string(),
  state: z.string().optional(),
  expires_at: z.number(),
});
const MOMENT = /^\d{1,15}$/;

export function linkToJson({ id, state, expiresAt }: NotedLink): string {
  return JSON.stringify({ id, state, expires_at: expiresAt });
}

/** Undefined when it is none. */
export function linkFromJson(json: string): NotedLink | undefined {
  const link = storedLink.safeParse(parseDisplay(json)).data;
  return link && { id: link.id, state: link.state, expiresAt: link.expires_at };
}

/**
 * Notes by which link a code was handed out: WeChat's event names the code, and comes also when the
 * merchant's browser never does.
 * @throws KeeperError `store_unavailable`
 */
export async function bindCode(
  { redis, keys }: Store,
  component: string,
  preAuthCode: string,
  link: NotedLink,
): Promise<void> {
  const key = keys.linkOfCode(component, hashOf(preAuthCode));
  await onRedis(() => redis.set(key, linkToJson(link), 'PX', VISIT_MS));
}

/** @throws KeeperError `store_unavailable` */
export async function linkOfCode(
  { redis, keys }: Store,
  component: string,
  preAuthCode: string,
): Promise<NotedLink | undefined> {
  const key = keys.linkOfCode(component, hashOf(preAuthCode));
  const json = await onDisplayKey(() => redis.get(key), null);
  return json === null ? undefined : linkFromJson(json);
}

/**
 * Notes that an account has authorized by this link; once or often, it is the same.
 * @param authorizedAt epoch ms by WeChat's clock
 * @throws KeeperError `store_unavailable`
 */
export async function noteLinkOutcome(
  { redis, keys, time }: Store,
  component: string,
  link: NotedLink,
  { authorizer, authorizedAt }: { authorizer: string; authorizedAt: number },
): Promise<void> {
  const lifeMs = Math.max(0, link.expiresAt - time.now()) + REMEMBERED_MS;
  const args = [linkToJson(link), authorizer, authorizedAt, lifeMs];
  await onRedis(() => runScript(redis, noteScript, [keys.linkOutcome(component, link.id)], args));
}

/** Undefined when it has brought no account, or that is long ago. @throws KeeperError */
export async function readLinkOutcome(
  { redis, keys }: Store,
  component: string,
  id: string,
): Promise<LinkOutcome | undefined> {
  const hash = await onDisplayKey(() => redis.hgetall(keys.linkOutcome(component, id)), {});
  const { link: json = '', ...accounts } = hash;
  const link = linkFromJson(json);
  if (link === undefined) return undefined;
  const authorizations = Object.entries(accounts)
    .filter(([, at]) => MOMENT.test(at))
    .map(([authorizer, at]) => ({ authorizer, authorizedAt: Number(at) }))
    .sort((one, other) => other.authorizedAt - one.authorizedAt);
  return { ...link, authorizations };
}

function hashOf(code: string): string {
  return createHash('sha256').update(code).digest('hex').slice(0, 32);
}
