import { classicToken, getTicket, stableToken } from './account-api.ts';
import {
  getAuthorizerInfo,
  getAuthorizerList,
  imitateQueryAuth,
  queryAuth,
  sendCustomMessage,
} from './authorization-api.ts';
import {
  authorizerToken,
  componentToken,
  createPreAuthCode,
  startPushTicket,
} from './component-api.ts';
import { failure } from './errcodes.ts';
import type { ApiName } from './faults.ts';
import type { MintKind } from './ledger.ts';
import { clearAccountQuota, clearComponentQuota, getQuota, getTrace } from './operations-api.ts';
import { lifeMs, randomValue } from './values.ts';
import type { Answer, ApiRequest, Outcome, World } from './model.ts';

/**
 * What the API calls do. The order of the checks is WeChat's: the token in the query before the
 * body, the appid before the secret, the secret before the ticket.
 */

interface Api {
  path: string;
  method: 'GET' | 'POST';
  run: (world: World, request: ApiRequest) => Outcome;
  /** What its answer brings, and under which name. */
  issues?: { kind: MintKind; field: string };
  /** For an answer that has more to it. */
  imitate?: (world: World) => Answer;
  /** It changes nothing, so a fault may as well spoil the true answer. */
  reads?: true;
}

const APIS: Readonly<Record<ApiName, Api>> = {
  api_component_token: {
    path: '/cgi-bin/component/api_component_token',
    method: 'POST',
    run: componentToken,
    issues: { kind: 'component_access_token', field: 'component_access_token' },
  },
  api_create_preauthcode: {
    path: '/cgi-bin/component/api_create_preauthcode',
    method: 'POST',
    run: createPreAuthCode,
    issues: { kind: 'pre_auth_code', field: 'pre_auth_code' },
  },
  api_start_push_ticket: {
    path: '/cgi-bin/component/api_start_push_ticket',
    method: 'POST',
    run: startPushTicket,
  },
  api_authorizer_token: {
    path: '/cgi-bin/component/api_authorizer_token',
    method: 'POST',
    run: authorizerToken,
    issues: { kind: 'authorizer_access_token', field: 'authorizer_access_token' },
  },
  api_query_auth: {
    path: '/cgi-bin/component/api_query_auth',
    method: 'POST',
    run: queryAuth,
    imitate: imitateQueryAuth,
  },
  api_get_authorizer_info: {
    path: '/cgi-bin/component/api_get_authorizer_info',
    method: 'POST',
    run: getAuthorizerInfo,
    reads: true,
  },
  api_get_authorizer_list: {
    path: '/cgi-bin/component/api_get_authorizer_list',
    method: 'POST',
    run: getAuthorizerList,
    reads: true,
  },
  send: {
    path: '/cgi-bin/message/custom/send',
    method: 'POST',
    run: sendCustomMessage,
  },
  token: {
    path: '/cgi-bin/token',
    method: 'GET',
    run: classicToken,
    issues: { kind: 'access_token', field: 'access_token' },
  },
  stable_token: {
    path: '/cgi-bin/stable_token',
    method: 'POST',
    run: stableToken,
    issues: { kind: 'access_token', field: 'access_token' },
  },
  getticket: {
    path: '/cgi-bin/ticket/getticket',
    method: 'GET',
    run: getTicket,
    issues: { kind: 'jsapi_ticket', field: 'ticket' },
  },
  'quota/get': { path: '/cgi-bin/openapi/quota/get', method: 'POST', run: getQuota, reads: true },
  'rid/get': { path: '/cgi-bin/openapi/rid/get', method: 'POST', run: getTrace, reads: true },
  'component/clear_quota/v2': {
    path: '/cgi-bin/component/clear_quota/v2',
    method: 'POST',
    run: clearComponentQuota,
  },
  'clear_quota/v2': {
    path: '/cgi-bin/clear_quota/v2',
    method: 'POST',
    run: clearAccountQuota,
  },
};

/** What a path is called in the ledger and in fault rules: by its last part, if that tells enough. */
export function nameOf(path: string): string {
  const known = Object.entries(APIS).find(([, api]) => api.path === path);
  return known?.[0] ?? path.slice(path.lastIndexOf('/') + 1);
}

export function isApiPath(name: ApiName, path: string): boolean {
  return APIS[name].path === path;
}

export function callApi(world: World, name: ApiName, request: ApiRequest): Answer {
  const { method, run } = APIS[name];
  const wrongMethod = method === 'POST' ? 43002 : 43001;
  return answerOf(world, request.method === method ? run(world, request) : wrongMethod);
}

/** A success that never happened: for faults that pretend work without doing any. */
export function imitateAnswer(world: World, name: ApiName, request: ApiRequest): Answer {
  const { issues, imitate, reads } = APIS[name];
  if (reads) return callApi(world, name, request);
  if (imitate !== undefined) return imitate(world);
  if (issues === undefined) return { errcode: 0, errmsg: 'ok' };
  const { kind, field } = issues;
  return { [field]: randomValue(kind), expires_in: Math.floor(lifeMs(world, kind) / 1000) };
}

function answerOf(world: World, outcome: Outcome): Answer {
  return typeof outcome === 'number' ? failure(outcome, world.clock.now()) : outcome;
}
