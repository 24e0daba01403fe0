import type { Authorizations } from '../../authorizers/code-exchange/queue.ts';
import { findApiKey, mayUse, type ApiKey } from '../../config/api-keys.ts';
import { readAppid } from '../../config/appid.ts';
import { readCredential, within, type Credential } from '../../credentials/read.ts';
import { reportInvalid, type ReportContext } from '../../credentials/report-invalid.ts';
import { windowOf } from '../../credentials/freshness.ts';
import { handleOf } from '../../credentials/refresh-token-handle.ts';
import { KeeperError } from '../../lib/errors.ts';
import { authorizerToken } from '../../store/authorizers/authorization.ts';
import { readAuthorizer } from '../../store/authorizers/profile.ts';
import { findIssued, noteIssued } from '../../store/credentials/issued-tokens.ts';
import { readRecord } from '../../store/credentials/record.ts';
import type { CredentialId } from '../../store/redis/keys.ts';
import { FacadeError } from './answers.ts';

/**
 * WeChat's own calls for tokens, answered from what is kept here: an application that changes nothing but
 * the host name, and its secret into a key of wxkeeper's, goes on as before and mints nothing.
 * Source of the shapes: developers.weixin.qq.com, and what SDKs read of them.
 */

export interface FacadeOptions {
  context: ReportContext;
  apiKeys: readonly ApiKey[];
  components: readonly string[];
  accounts: readonly string[];
  takeCode: Authorizations['takeCode'];
  /** Seconds that a client is told at the least, by the id of its key. */
  minExpiresIn: Readonly<Record<string, number>>;
}

/** One call, as it came: query and body together, for clients put the same field in either. */
export interface FacadeCall {
  fields: Readonly<Record<string, unknown>>;
  /** Called as soon as it is known who calls. */
  admitted: (key: ApiKey, id: CredentialId) => void;
}

/** Milliseconds that a caller waits for the successor of a value that is to be replaced. */
const SUCCESSOR_MS = 3_000;
/**
 * Seconds that a client may keep a token at the least: caches subtract up to 500 before they store it, and
 * some take what is left below zero for "for ever".
 */
const LEAST_SECONDS = 600;
/** Seconds for which WeChat's authorization codes live. Source: api_query_auth. */
const CODE_SECONDS = 600;

/** GET /cgi-bin/token, POST /cgi-bin/stable_token */
export async function token(options: FacadeOptions, call: FacadeCall): Promise<object> {
  const appid = appidIn(call, 'appid');
  const key = keyOf(options, call, [appid], 'secret', 'appsecret');
  const id = await tokenOf(options, appid);
  call.admitted(key, id);
  const isForced = String(call.fields.force_refresh) === 'true';
  const found =
    isForced && mayUse(key, 'credentials:refresh', [appid])
      ? await replaced(options, id, key)
      : await read(options, id);
  return { access_token: found.value, expires_in: await issue(options, id, found, key) };
}

/** POST /cgi-bin/component/api_component_token */
export async function componentToken(options: FacadeOptions, call: FacadeCall): Promise<object> {
  const component = appidIn(call, 'component_appid');
  const key = keyOf(options, call, [component], 'component_appsecret', 'component_secret');
  const id = { kind: 'component_access_token', subject: component } as const;
  call.admitted(key, id);
  const found = await read(options, id);
  const expiresIn = await issue(options, id, found, key);
  return { component_access_token: found.value, expires_in: expiresIn };
}

/** POST /cgi-bin/component/api_create_preauthcode: each call hands out another one. */
export async function preAuthCode(options: FacadeOptions, call: FacadeCall): Promise<object> {
  const { component, key } = await componentOf(options, call);
  const id = { kind: 'pre_auth_code', subject: component } as const;
  call.admitted(key, id);
  const { value, expiresInMs } = await readCredential(options.context, id);
  return { pre_auth_code: value, expires_in: Math.floor(expiresInMs / 1000) };
}

/**
 * POST /cgi-bin/component/api_authorizer_token. Clients make the refresh token a part of their cache's key:
 * they get back the one they sent.
 */
export async function authorizerTokenOf(options: FacadeOptions, call: FacadeCall): Promise<object> {
  const { component, key } = await componentOf(options, call);
  const authorizer = appidIn(call, 'authorizer_appid');
  const id = authorizerToken(component, authorizer);
  call.admitted(key, id);
  const sent = call.fields.authorizer_refresh_token;
  return {
    ...(await authorizerAnswer(options, id, key)),
    authorizer_refresh_token:
      typeof sent === 'string' && sent !== '' ? sent : handleOf(component, authorizer),
  };
}

/**
 * POST /cgi-bin/component/api_query_auth. SDKs ask for a code within milliseconds of the event that brought
 * it, by when it is used up: it is exchanged once, and everybody gets the answer.
 */
export async function queryAuth(options: FacadeOptions, call: FacadeCall): Promise<object> {
  const { component, key } = await componentOf(options, call);
  const code = call.fields.authorization_code;
  if (typeof code !== 'string' || code === '') throw new FacadeError(40097);
  const outcome = await options.takeCode(component, code, CODE_SECONDS);
  if (outcome.did === 'expired') throw new FacadeError(61010);
  if (outcome.did !== 'authorized') throw new FacadeError(-1);
  const { authorizer } = outcome;
  const id = authorizerToken(component, authorizer);
  call.admitted(key, id);
  const profile = await readAuthorizer(options.context.store, component, authorizer);
  const sets = profile?.permissionSets ?? [];
  return {
    authorization_info: {
      authorizer_appid: authorizer,
      ...(await authorizerAnswer(options, id, key)),
      authorizer_refresh_token: handleOf(component, authorizer),
      func_info: sets.map((set) => ({ funcscope_category: { id: set } })),
    },
  };
}

/** POST /cgi-bin/component/api_start_push_ticket: it is on, and wxkeeper looks after that. */
export async function startPushTicket(options: FacadeOptions, call: FacadeCall): Promise<object> {
  const component = appidIn(call, 'component_appid');
  const key = keyOf(options, call, [component], 'component_secret', 'component_appsecret');
  call.admitted(key, { kind: 'component_access_token', subject: component });
  return Promise.resolve({ errcode: 0, errmsg: 'ok' });
}

const TICKETS = { jsapi: 'jsapi_ticket', wx_card: 'wx_card_ticket' } as const;

/**
 * GET /cgi-bin/ticket/getticket
 * @returns undefined when wxkeeper keeps no such ticket: WeChat may be asked
 */
export async function ticket(
  options: FacadeOptions,
  call: FacadeCall,
): Promise<object | undefined> {
  const issued = await issuedIn(options, call);
  const kind = TICKETS[String(call.fields.type) as keyof typeof TICKETS] as
    (typeof TICKETS)[keyof typeof TICKETS] | undefined;
  if (issued?.id.kind !== 'access_token' || kind === undefined) return undefined;
  const id = { kind, subject: issued.id.subject } as const;
  if (options.context.keeper.kindOf(id) === undefined) return undefined;
  call.admitted(issued.key, id);
  const found = await read(options, id);
  const expiresIn = secondsOf(options, id, found, issued.key);
  return { errcode: 0, errmsg: 'ok', ticket: found.value, expires_in: expiresIn };
}

async function authorizerAnswer(options: FacadeOptions, id: CredentialId, key: ApiKey) {
  const found = await notAuthorized(read(options, id));
  return {
    authorizer_access_token: found.value,
    expires_in: await issue(options, id, found, key),
  };
}

/** An account that is unknown here has not authorized the platform. */
async function notAuthorized<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof KeeperError && error.code === 'not_found') throw new FacadeError(61003);
    throw error;
  }
}

function appidIn({ fields }: FacadeCall, name: string): string {
  const given = fields[name];
  const appid = typeof given === 'string' ? readAppid(given) : undefined;
  if (appid === undefined) throw new FacadeError(40013);
  return appid;
}

/** The key stands where WeChat wants the secret. @throws KeeperError `unauthorized`, `forbidden` */
function keyOf(
  { apiKeys }: FacadeOptions,
  { fields }: FacadeCall,
  appids: readonly string[],
  ...names: readonly string[]
): ApiKey {
  const given = names.map((name) => fields[name]).find((text) => typeof text === 'string');
  const key = findApiKey(apiKeys, typeof given === 'string' ? given : '');
  if (key === undefined) throw new KeeperError('unauthorized', 'an unknown key');
  if (!mayUse(key, 'credentials:read', appids)) {
    throw new KeeperError('forbidden', 'This API key lacks the scope credentials:read here.');
  }
  return key;
}

/** Whose the token of a call is, and who was given it: a key that is gone has taken its tokens along. */
async function issuedIn({ context, apiKeys }: FacadeOptions, { fields }: FacadeCall) {
  const given = fields.component_access_token ?? fields.access_token;
  if (typeof given !== 'string') return undefined;
  const issued = await findIssued(context.store, given);
  const key = apiKeys.find(({ id }) => id === issued?.key);
  return issued === undefined || key === undefined ? undefined : { ...issued, key };
}

async function componentOf(options: FacadeOptions, call: FacadeCall) {
  const issued = await issuedIn(options, call);
  // Its client asks for another one, which will be known.
  if (issued?.id.kind !== 'component_access_token') throw new FacadeError(40001);
  const { key, id } = issued;
  if (!mayUse(key, 'credentials:read', [id.subject])) throw new FacadeError(40013);
  return { component: id.subject, key };
}

/** An own account's, or that of an account that has authorized one of the platforms here. */
async function tokenOf(options: FacadeOptions, appid: string): Promise<CredentialId> {
  const { accounts, components, context } = options;
  if (accounts.includes(appid)) return { kind: 'access_token', subject: appid };
  for (const component of components) {
    const id = authorizerToken(component, appid);
    const { refreshToken, revokedAt, value } = await readRecord(context.store, id);
    if ((refreshToken ?? revokedAt ?? value) !== undefined) return id;
  }
  throw new FacadeError(40013);
}

/**
 * The value, or its successor where it is about to be replaced: whoever caches it by `expires_in` should
 * not begin with the old one.
 */
async function read({ context }: FacadeOptions, id: CredentialId): Promise<Credential> {
  const found = await readCredential(context, id);
  if (found.state === 'fresh' || found.source === 'memory') return found;
  await within(context.clock, SUCCESSOR_MS, context.keeper.ensureFresh(id, 'read'));
  return readCredential(context, id);
}

/** `force_refresh` says that a token is dead, and not which: it is taken for the current one. */
async function replaced(
  { context }: FacadeOptions,
  id: CredentialId,
  key: ApiKey,
): Promise<Credential> {
  const { seq } = await readCredential(context, id);
  const complaint = { seq, errcode: 40001, caller: key.id, mayRead: true };
  const { current } = await reportInvalid(context, id, complaint);
  return current;
}

/** Notes whose it is, before anybody has it. @returns seconds for which the client may keep it */
async function issue(
  options: FacadeOptions,
  id: CredentialId,
  found: Credential,
  key: ApiKey,
): Promise<number> {
  const issued = { id, seq: found.seq, key: key.id };
  try {
    await noteIssued(options.context.store, found.value, issued, found.expiresInMs);
  } catch (error) {
    // What is served from memory while Redis is away was noted when it was handed out before.
    if (found.source !== 'memory') throw error;
  }
  return secondsOf(options, id, found, key);
}

/** Until it is replaced, and not until it dies: caches would hold the old one meanwhile. */
function secondsOf(
  { context, minExpiresIn }: FacadeOptions,
  id: CredentialId,
  found: Credential,
  key: ApiKey,
): number {
  const untilReplaced = found.expiresInMs - windowOf(id, context.windowMs);
  const least = minExpiresIn[key.id] ?? LEAST_SECONDS;
  return Math.max(least, Math.floor(untilReplaced / 1000));
}
