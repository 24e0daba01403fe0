import { authorizerInfo, funcInfo } from './authorizer-profile.ts';
import { exchange, findAuthorization, listAuthorizations } from './authorizers.ts';
import { callerOf } from './component-api.ts';
import { note } from './ledger.ts';
import { find, judge, lifeMs, randomValue } from './values.ts';
import type { Answer, ApiRequest, Outcome, World } from './model.ts';

/** The calls about accounts that have authorized, and the message that the release check waits for. */

const LIST_LIMIT = 500;
/** An escape, unless the backslash is itself escaped. */
const UNICODE_ESCAPE = /(?<!\\)(?:\\\\)*\\u[0-9a-fA-F]{4}/;

export function queryAuth(world: World, request: ApiRequest): Outcome {
  const component = callerOf(world, request);
  if (typeof component === 'number') return component;
  const code = request.body?.['authorization_code'];
  if (typeof code !== 'string') return 61009;
  const exchanged = exchange(world, component.appid, code);
  if (typeof exchanged === 'number') return exchanged;
  const { authorizer, accessToken, expiresIn, refreshToken, authorization } = exchanged;
  return {
    authorization_info: {
      authorizer_appid: authorizer,
      authorizer_access_token: accessToken,
      expires_in: expiresIn,
      authorizer_refresh_token: refreshToken,
      func_info: funcInfo(authorization.funcs),
    },
  };
}

/** What queryAuth would answer if it did anything. */
export function imitateQueryAuth(world: World): Answer {
  return {
    authorization_info: {
      authorizer_appid: 'wx0000000000000000',
      authorizer_access_token: randomValue('authorizer_access_token'),
      expires_in: Math.floor(lifeMs(world, 'authorizer_access_token') / 1000),
      authorizer_refresh_token: 'refreshtoken@@@imitated',
      func_info: [],
    },
  };
}

export function getAuthorizerInfo(world: World, request: ApiRequest): Outcome {
  const component = callerOf(world, request);
  if (typeof component === 'number') return component;
  const appid = request.body?.['authorizer_appid'];
  if (typeof appid !== 'string' || appid === '') return 40013;
  const authorization = findAuthorization(world, component.appid, appid);
  if (authorization === undefined) return 61003;
  return {
    authorizer_info: authorizerInfo(appid, authorization),
    authorization_info: {
      authorizer_appid: appid,
      authorizer_refresh_token: authorization.refreshToken,
      func_info: funcInfo(authorization.funcs),
    },
  };
}

export function getAuthorizerList(world: World, request: ApiRequest): Outcome {
  const component = callerOf(world, request);
  if (typeof component === 'number') return component;
  const offset = request.body?.['offset'];
  const count = request.body?.['count'];
  if (!isWhole(offset, 0) || !isWhole(count, 1)) return 40097;
  if (count > LIST_LIMIT) return 40170;
  const list = Array.from(
    listAuthorizations(world, component.appid, offset, count),
    ([appid, { refreshToken, authTime }]) => ({
      authorizer_appid: appid,
      refresh_token: refreshToken,
      auth_time: Math.floor(authTime / 1000),
    }),
  );
  return { total_count: world.authorizations.get(component.appid)?.size ?? 0, list };
}

/** A text to a user of the account whose token is in the query. */
export function sendCustomMessage(world: World, request: ApiRequest): Outcome {
  const token = request.query.get('access_token') ?? '';
  if (token === '') return 41001;
  const issued = find(world, 'authorizer_access_token', token);
  const at = world.clock.now();
  const verdict = judge(issued, at);
  if (issued === undefined || verdict !== 'live') return verdict === 'expired' ? 42001 : 40001;
  if (request.text === '') return 44002;
  if (request.body === undefined) return 47001;
  if (UNICODE_ESCAPE.test(request.text)) return 40033;
  const { touser, msgtype, text } = request.body;
  if (typeof touser !== 'string' || touser === '') return 40003;
  if (msgtype !== 'text') return 40008;
  const content = typeof text === 'object' && text !== null && 'content' in text && text.content;
  if (typeof content !== 'string' || content === '') return 44004;
  const appid = issued.owner.slice(issued.owner.indexOf(':') + 1);
  note(world.ledger.messages, { at, appid, touser, content }, world.settings.ledgerLimit);
  return { errcode: 0, errmsg: 'ok' };
}

function isWhole(value: unknown, min: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min;
}
