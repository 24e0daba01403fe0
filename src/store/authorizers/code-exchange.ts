import { createHash } from 'node:crypto';
import * as z from 'zod';
import { linkFromJson, linkOfCode, linkToJson, type NotedLink } from './link-outcomes.ts';
import { onRedis, parseDisplay } from '../redis/connection.ts';
import { loadScript, runScript } from '../redis/scripts.ts';
import { storedError, type StoredError } from '../credentials/stored-error.ts';
import type { Store } from '../redis/store.ts';

/**
 * Authorization codes that are to be exchanged. Each works once and for minutes only, and neither the
 * redirect nor the event that brings it comes again: so it is stored before anybody is told that it has
 * arrived. Times are epoch ms by the store's clock unless said otherwise.
 */

/** How it ended. `superseded`: something newer is known about this account. */
export type ExchangeEnd = 'authorized' | 'expired' | 'superseded';

export interface Exchange {
  /** Hash of the code, the same whichever way it comes. */
  id: string;
  /** Gone when it has ended. */
  code: string | undefined;
  /** Known from the event, or from WeChat's answer; a redirect does not say. */
  authorizer: string | undefined;
  /** WeChat's time at which the account authorized, as well as we know it. */
  authorizedAt: number;
  /** By WeChat's clock: it is WeChat that ends a code. */
  expiresAt: number;
  nextAt: number;
  attempts: number;
  /** A try whose answer was lost may have used the code up. */
  maybeUsed: boolean;
  lastError: StoredError | undefined;
  /** The start link by which the merchant came, as far as it is known. */
  link: NotedLink | undefined;
  outcome: ExchangeEnd | undefined;
}

export interface NewExchange {
  code: string;
  authorizer?: string | undefined;
  authorizedAt: number;
  expiresAt: number;
  /** By which it came; or else the code that WeChat's event names, which tells it. */
  link?: NotedLink | undefined;
  preAuthCode?: string | undefined;
}

/** Milliseconds for which the end of an exchange is remembered: a merchant may reload the page. */
const REMEMBERED_MS = 3_600_000;

const mergeScript = loadScript('authorizers/merge-exchange');

const stored = z
  .object({
    code: z.string().optional(),
    authorizer: z.string().optional(),
    authorized_at: z.number(),
    expires_at: z.number(),
    next_at: z.number().catch(0),
    attempts: z.number().catch(0),
    maybe_used: z.boolean().catch(false),
    last_error: storedError.optional().catch(undefined),
    link: z.string().optional().catch(undefined),
    outcome: z.enum(['authorized', 'expired', 'superseded']).optional(),
  })
  .transform((one): Omit<Exchange, 'id'> => ({
    code: one.code,
    authorizer: one.authorizer,
    outcome: one.outcome,
    authorizedAt: one.authorized_at,
    expiresAt: one.expires_at,
    nextAt: one.next_at,
    attempts: one.attempts,
    maybeUsed: one.maybe_used,
    lastError: one.last_error,
    link: one.link === undefined ? undefined : linkFromJson(one.link),
  }));

/**
 * Stores a code. One that came before, by another way, stays as it is and learns what it lacked.
 * @throws KeeperError `store_unavailable`
 */
export async function addExchange(
  store: Store,
  component: string,
  { code, authorizer, authorizedAt, expiresAt, preAuthCode, ...rest }: NewExchange,
): Promise<Exchange> {
  const named = preAuthCode === undefined || preAuthCode === '' ? undefined : preAuthCode;
  const link =
    rest.link ?? (named === undefined ? undefined : await linkOfCode(store, component, named));
  const id = createHash('sha256').update(code).digest('hex').slice(0, 32);
  const fields = {
    code,
    authorizer,
    authorized_at: authorizedAt,
    expires_at: expiresAt,
    link: link && linkToJson(link),
  };
  const merged = await merge(store, component, id, { ...fields, next_at: 0 }, 'add');
  if (merged === undefined) throw new Error('an exchange cannot be read back');
  return merged;
}

/** Undefined when it is not there any more. @throws KeeperError `store_unavailable` */
export async function changeExchange(
  store: Store,
  component: string,
  id: string,
  change: Partial<Omit<Exchange, 'id' | 'code' | 'expiresAt' | 'link'>>,
): Promise<Exchange | undefined> {
  const fields = {
    authorizer: change.authorizer,
    authorized_at: change.authorizedAt,
    next_at: change.nextAt,
    attempts: change.attempts,
    maybe_used: change.maybeUsed,
    last_error: change.lastError,
    outcome: change.outcome,
  };
  return merge(store, component, id, fields, 'change');
}

/**
 * Those that have not ended, in the order in which they are to be tried: each link's first code, oldest
 * first, before anybody's second. Forgets what ended long ago.
 * @throws KeeperError `store_unavailable`
 */
export async function openExchanges(store: Store, component: string): Promise<Exchange[]> {
  const key = store.keys.exchanges(component);
  const hash = await onRedis(() => store.redis.hgetall(key));
  const all = Object.entries(hash).map(([id, json]) => [id, parse(id, json)] as const);
  const now = store.time.now();
  const over = all.filter(
    ([, one]) =>
      one === undefined || (one.outcome !== undefined && one.expiresAt + REMEMBERED_MS < now),
  );
  if (over.length > 0) {
    await onRedis(() => store.redis.hdel(key, ...over.map(([id]) => id)));
  }
  const known = byTime(all.flatMap(([, one]) => one ?? []));
  const turns = turnsOf(known);
  const turnOf = ({ id }: Exchange) => turns.get(id) ?? 0;
  return known
    .filter(({ outcome }) => outcome === undefined)
    .sort((one, other) => turnOf(one) - turnOf(other));
}

/**
 * How many codes of the same link came before each and have not brought an account: whoever has a link may
 * bring any number of codes that are none, and nobody else shall wait for them. Those that WeChat itself
 * has sent with an account, or that came by no link that we know, wait for nothing.
 * @param exchanges oldest first
 */
function turnsOf(exchanges: readonly Exchange[]): Map<string, number> {
  const turns = new Map<string, number>();
  const before = new Map<string, number>();
  for (const { id, link, authorizer, outcome } of exchanges) {
    if (link === undefined || authorizer !== undefined || outcome === 'authorized') continue;
    const turn = before.get(link.id) ?? 0;
    turns.set(id, turn);
    before.set(link.id, turn + 1);
  }
  return turns;
}

/**
 * Of those of one moment the ended ones come first: they have had their turn. The hash has them in any
 * order, and in another one once it has grown.
 */
function byTime(exchanges: readonly Exchange[]): Exchange[] {
  const hasEnded = ({ outcome }: Exchange) => Number(outcome !== undefined);
  return [...exchanges].sort(
    (one, other) =>
      one.authorizedAt - other.authorizedAt ||
      hasEnded(other) - hasEnded(one) ||
      (one.id < other.id ? -1 : 1),
  );
}

/** @throws KeeperError `store_unavailable` */
export async function readExchange(
  { keys, redis }: Store,
  component: string,
  id: string,
): Promise<Exchange | undefined> {
  const json = await onRedis(() => redis.hget(keys.exchanges(component), id));
  return json === null ? undefined : parse(id, json);
}

async function merge(
  { keys, redis }: Store,
  component: string,
  id: string,
  fields: Readonly<Record<string, unknown>>,
  how: 'add' | 'change',
): Promise<Exchange | undefined> {
  const args = [id, JSON.stringify(fields), how];
  const merged = await onRedis(() =>
    runScript(redis, mergeScript, [keys.exchanges(component)], args),
  );
  return typeof merged === 'string' ? parse(id, merged) : undefined;
}

function parse(id: string, json: string): Exchange | undefined {
  const fields = stored.safeParse(parseDisplay(json)).data;
  return fields === undefined ? undefined : { id, ...fields };
}
