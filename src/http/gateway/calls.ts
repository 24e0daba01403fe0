import { findApiKey, mayUse, type ApiKey } from '../../config/api-keys.ts';
import { readAppid } from '../../config/appid.ts';
import type { AccountConfig } from '../../config/file.ts';
import { readCredential, type Credential, type ReadContext } from '../../credentials/read.ts';
import { KeeperError } from '../../lib/errors.ts';
import { authorizerToken } from '../../store/authorizers/authorization.ts';
import { findIssued } from '../../store/credentials/issued-tokens.ts';
import type { CredentialId } from '../../store/redis/keys.ts';

/**
 * What a call to WeChat is to carry: the token that is kept here, in the place of none, of one that was
 * replaced, or of a key of wxkeeper's where WeChat wants the secret.
 */

export interface PreparedCall {
  /** With its query, as WeChat is to get it. */
  path: string;
  /** For people: without what may be secret. */
  shown: string;
  /** The value that it carries, when that is one of ours. */
  used: { id: CredentialId; seq: number; name: string } | undefined;
  /** Who calls; undefined: whoever has the token. */
  key: ApiKey | undefined;
}

export interface CallContext {
  reading: ReadContext;
  apiKeys: readonly ApiKey[];
  accounts: readonly AccountConfig[];
}

/** Names under which WeChat's calls carry tokens, and secrets. */
const TOKENS = ['access_token', 'component_access_token', 'authorizer_access_token'] as const;
const SECRETS = ['secret', 'appsecret', 'component_appsecret'] as const;
const CARRIES = new RegExp(`[?&](?:${[...TOKENS, ...SECRETS].join('|')})=`);
/** Calls that WeChat wants the secret for and that issue no token of ours. */
const WITH_SECRET = /^\/(sns\/(jscode2session|oauth2\/access_token)|cgi-bin\/clear_quota\/v2)$/;
const COMPONENT_CALL = /^\/cgi-bin\/component\//;
/** What could leave the path that it seems to be, at one server or another. */
const CLIMBS = /(^|\/)\.{1,2}(\/|$)|\/\/|\\|%2e|%2f|%5c|%00/i;
/** Of a key, so that one never goes to WeChat, whatever it is called by. */
const KEY = /wxk_[a-z0-9][a-z0-9-]{0,31}_[A-Za-z0-9_-]{43}/;

/** A call that names its account in the path, and its caller by a key in the header. */
export async function prepareKeyed(
  { reading }: CallContext,
  key: ApiKey,
  subject: { component: string; authorizer: string | undefined },
  rest: string,
): Promise<PreparedCall> {
  const { pathname, query } = splitPath(rest);
  const id = idOf(reading, subject);
  const found = await readCredential(reading, id);
  const name = tokenName(id, pathname);
  // Whatever the caller has sent by these names is nobody's.
  for (const one of [...TOKENS, ...SECRETS]) query.delete(one);
  query.set(name, found.value);
  return prepared(pathname, query, key, { id, seq: found.seq, name });
}

/**
 * A call as an SDK sends it to WeChat: with a token, which may be an old one of ours, or with a key where
 * WeChat wants the secret.
 * @returns undefined when it is no call of WeChat's
 */
export async function prepareBare(
  context: CallContext,
  url: string,
): Promise<PreparedCall | undefined> {
  // What has neither is none of WeChat's, whatever its path is like.
  if (!CARRIES.test(url)) return undefined;
  const { pathname, query } = splitPath(url);
  const swapped = swapSecret(context, pathname, query);
  const name = TOKENS.find((one) => query.has(one));
  if (swapped === undefined && name === undefined) return undefined;
  const issued =
    name === undefined ? undefined : await findIssued(context.reading.store, query.get(name) ?? '');
  const key = swapped ?? context.apiKeys.find(({ id }) => id === issued?.key);
  const used =
    issued === undefined || name === undefined
      ? undefined
      : await useSuccessor(context, issued, query, name);
  if ([pathname, ...query.values()].some((text) => KEY.test(text))) throw unknownKey();
  return prepared(pathname, query, key, used);
}

/** Another call of the same, with the value that has come into the place of the dead one. */
export function withValue(call: PreparedCall, { value, seq }: Credential): PreparedCall {
  if (call.used === undefined) return call;
  const { pathname, query } = splitPath(call.path);
  query.set(call.used.name, value);
  return prepared(pathname, query, call.key, { ...call.used, seq });
}

function prepared(
  pathname: string,
  query: URLSearchParams,
  key: ApiKey | undefined,
  used: PreparedCall['used'],
): PreparedCall {
  const search = query.toString();
  return { path: search === '' ? pathname : `${pathname}?${search}`, shown: pathname, key, used };
}

/** @throws KeeperError `bad_request` */
function splitPath(url: string): { pathname: string; query: URLSearchParams } {
  const [pathname = '', ...search] = url.split('?');
  if (!pathname.startsWith('/') || CLIMBS.test(pathname)) {
    throw new KeeperError('bad_request', 'This is no path of WeChat’s.');
  }
  return { pathname, query: new URLSearchParams(search.join('?')) };
}

/** @throws KeeperError `not_found` */
function idOf(
  { keeper }: ReadContext,
  { component, authorizer }: { component: string; authorizer: string | undefined },
): CredentialId {
  if (authorizer !== undefined) return authorizerToken(component, authorizer);
  const own = { kind: 'access_token', subject: component } as const;
  const platform = { kind: 'component_access_token', subject: component } as const;
  return keeper.kindOf(own) === undefined ? platform : own;
}

function tokenName({ kind }: CredentialId, pathname: string): string {
  const isPlatform = kind === 'component_access_token' && COMPONENT_CALL.test(pathname);
  return isPlatform ? 'component_access_token' : 'access_token';
}

async function useSuccessor(
  { reading }: CallContext,
  { id, seq }: { id: CredentialId; seq: number },
  query: URLSearchParams,
  name: string,
): Promise<PreparedCall['used']> {
  try {
    const found = await readCredential(reading, id);
    query.set(name, found.value);
    return { id, seq: found.seq, name };
  } catch (error) {
    // WeChat says better what is wrong with it than we can to a client that does not know us.
    if (error instanceof KeeperError) return { id, seq, name };
    throw error;
  }
}

/**
 * The AppSecret in the place of a key. @returns whose key it is, undefined when there is none
 * @throws KeeperError `unauthorized`, `forbidden`: a key never goes to WeChat
 */
function swapSecret(
  { apiKeys, accounts }: CallContext,
  pathname: string,
  query: URLSearchParams,
): ApiKey | undefined {
  const name = SECRETS.find((one) => KEY.test(query.get(one) ?? ''));
  if (name === undefined) return undefined;
  const key = findApiKey(apiKeys, query.get(name) ?? '');
  if (key === undefined) throw unknownKey();
  const appid = readAppid(query.get('appid') ?? '');
  const account = accounts.find((one) => one.appid === appid);
  const may = account !== undefined && mayUse(key, 'credentials:read', [account.appid]);
  if (!may || !WITH_SECRET.test(pathname)) {
    throw new KeeperError('forbidden', 'This API key does not stand for a secret here.');
  }
  query.set(name, account.appsecret);
  return key;
}

function unknownKey(): KeeperError {
  return new KeeperError('unauthorized', 'Send a known API key, and only where a secret belongs.');
}
