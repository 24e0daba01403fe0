import * as z from 'zod';
import { onDisplayKey, parseDisplay } from '../redis/connection.ts';
import { loadScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';

/**
 * Who authorized each component, as people look at it: names, kind, permission sets. Whether a token can
 * be had is decided by the record alone; this is a hint for lists and search, and each reconciliation
 * writes it anew.
 */

/** `unexchanged`: WeChat lists the account, but its authorization code was never exchanged. */
export const AUTHORIZER_STATES = ['authorized', 'reauthorize', 'unexchanged', 'revoked'] as const;
export type AuthorizerState = (typeof AUTHORIZER_STATES)[number];

export interface AuthorizerProfile {
  state: AuthorizerState;
  /** Epoch ms, WeChat's: when it came to be in this state. */
  stateAt: number;
  type: 'official_account' | 'mini_program' | undefined;
  nickName: string;
  userName: string;
  alias: string;
  principalName: string;
  signature: string;
  headImg: string;
  serviceType: number | undefined;
  verifyType: number | undefined;
  accountStatus: number | undefined;
  permissionSets: readonly number[];
  /** Epoch ms; undefined until WeChat was asked for the first time. */
  profileAt: number | undefined;
}

export interface ListedEntry extends AuthorizerProfile {
  appid: string;
}

/** Texts of one entry that a search looks into. */
const SEARCHED = ['nickName', 'userName', 'alias', 'principalName'] as const;
/** Entries read at a time while searching: a millisecond of Redis's time. */
const SCAN = 500;

const mergeScript = loadScript('authorizers/merge-authorizer');

const text = z.string().catch('');
const number = z.number().optional().catch(undefined);
/** Spoiled by hand, an entry still shows what is left of it. */
const storedEntry = z
  .object({
    state: z.enum(AUTHORIZER_STATES).catch('authorized'),
    state_at: z.number().catch(0),
    type: z.enum(['official_account', 'mini_program']).optional().catch(undefined),
    nick_name: text,
    user_name: text,
    alias: text,
    principal_name: text,
    signature: text,
    head_img: text,
    service_type: number,
    verify_type: number,
    account_status: number,
    permission_sets: text,
    profile_at: number,
  })
  .transform((one): AuthorizerProfile => ({
    state: one.state,
    stateAt: one.state_at,
    type: one.type,
    nickName: one.nick_name,
    userName: one.user_name,
    alias: one.alias,
    principalName: one.principal_name,
    signature: one.signature,
    headImg: one.head_img,
    serviceType: one.service_type,
    verifyType: one.verify_type,
    accountStatus: one.account_status,
    permissionSets: one.permission_sets.split(',').filter(Boolean).map(Number),
    profileAt: one.profile_at,
  }));

/** Changes some of what is known about one authorizer. @throws KeeperError `store_unavailable` */
export async function mergeAuthorizer(
  store: Store,
  component: string,
  authorizer: string,
  change: Partial<AuthorizerProfile>,
): Promise<void> {
  const { keys, redis } = store;
  const patch = {
    state: change.state,
    state_at: change.stateAt,
    type: change.type,
    nick_name: change.nickName,
    user_name: change.userName,
    alias: change.alias,
    principal_name: change.principalName,
    signature: change.signature,
    head_img: change.headImg,
    service_type: change.serviceType,
    verify_type: change.verifyType,
    account_status: change.accountStatus,
    // A text, because Lua's JSON makes an object of an empty list.
    permission_sets: change.permissionSets?.join(','),
    profile_at: change.profileAt,
  };
  const touched = [keys.authorizers(component), keys.authorizerIndex(component)];
  await onDisplayKey(
    () => runScript(redis, mergeScript, touched, [authorizer, JSON.stringify(patch)]),
    null,
  );
}

/** @throws KeeperError `store_unavailable` */
export async function readAuthorizer(
  { keys, redis }: Store,
  component: string,
  authorizer: string,
): Promise<AuthorizerProfile | undefined> {
  const json = await onDisplayKey(() => redis.hget(keys.authorizers(component), authorizer), null);
  return json === null ? undefined : parseEntry(json);
}

/** How many authorizers are known, those included that have ended. @throws KeeperError */
export async function countAuthorizers({ keys, redis }: Store, component: string): Promise<number> {
  return onDisplayKey(() => redis.zcard(keys.authorizerIndex(component)), 0);
}

/**
 * Appids in their order, after `after`.
 * @throws KeeperError `store_unavailable`
 */
export async function authorizersAfter(
  { keys, redis }: Store,
  component: string,
  after: string,
  limit: number,
): Promise<string[]> {
  const from = after === '' ? '-' : `(${after}`;
  return onDisplayKey(
    () => redis.zrangebylex(keys.authorizerIndex(component), from, '+', 'LIMIT', 0, limit),
    [],
  );
}

export interface AuthorizerQuery {
  /** The last appid of the page before; '' for the first page. */
  after: string;
  limit: number;
  /** Part of an appid, or of a name in any case. */
  search?: string | undefined;
  state?: AuthorizerState | undefined;
}

/**
 * One page of authorizers in the order of their appids.
 * @returns `next`: what to continue `after`, undefined at the end
 * @throws KeeperError `store_unavailable`
 */
export async function findAuthorizers(
  store: Store,
  component: string,
  query: AuthorizerQuery,
): Promise<{ entries: ListedEntry[]; next: string | undefined }> {
  const filtered = query.search !== undefined || query.state !== undefined;
  const batch = filtered ? SCAN : query.limit;
  const entries: ListedEntry[] = [];
  let { after } = query;
  for (;;) {
    const appids = await authorizersAfter(store, component, after, batch);
    for (const { appid, json } of await readTexts(store, component, appids)) {
      if (!mayMatch(appid, json, query)) continue;
      const entry = { appid, ...parseEntry(json) };
      if (!matches(entry, query)) continue;
      entries.push(entry);
      if (entries.length === query.limit) return { entries, next: entry.appid };
    }
    after = appids.at(-1) ?? after;
    if (appids.length < batch) return { entries, next: undefined };
  }
}

/** Of several authorizers at once; those that are not known are left out. @throws KeeperError */
export async function readAuthorizers(
  store: Store,
  component: string,
  appids: readonly string[],
): Promise<Map<string, AuthorizerProfile>> {
  const texts = await readTexts(store, component, appids);
  return new Map(
    texts.flatMap(({ appid, json }) =>
      json === undefined ? [] : [[appid, parseEntry(json)] as const],
    ),
  );
}

async function readTexts(
  { keys, redis }: Store,
  component: string,
  appids: readonly string[],
): Promise<{ appid: string; json: string | undefined }[]> {
  if (appids.length === 0) return [];
  const texts = await onDisplayKey(() => redis.hmget(keys.authorizers(component), ...appids), []);
  return appids.map((appid, index) => ({ appid, json: texts[index] ?? undefined }));
}

/** What JSON writes otherwise than it is. */
const ESCAPED = /["\\/\u0000-\u001f]/;

/** False only for entries that cannot match: most of 100,000 need not be parsed to be passed over. */
function mayMatch(
  appid: string,
  json: string | undefined,
  { search, state }: AuthorizerQuery,
): boolean {
  if (json === undefined) return true;
  if (state !== undefined && state !== 'authorized' && !json.includes(`"${state}"`)) return false;
  if (search === undefined || ESCAPED.test(search)) return true;
  const wanted = search.toLowerCase();
  return appid.includes(wanted) || json.toLowerCase().includes(wanted);
}

function matches(entry: ListedEntry, { search, state }: AuthorizerQuery): boolean {
  if (state !== undefined && entry.state !== state) return false;
  if (search === undefined) return true;
  const wanted = search.toLowerCase();
  return (
    entry.appid.includes(wanted) ||
    SEARCHED.some((name) => entry[name].toLowerCase().includes(wanted))
  );
}

function parseEntry(json = '{}'): AuthorizerProfile {
  return storedEntry.safeParse(parseDisplay(json)).data ?? storedEntry.parse({});
}
