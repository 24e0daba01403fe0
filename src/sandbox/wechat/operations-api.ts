import type { CallRecord } from './ledger.ts';
import { clearCalls, countCalls, tokenIn } from './operations.ts';
import { judge } from './values.ts';
import type { ApiRequest, Outcome, World } from './model.ts';

/** The calls of people who look after an installation: quotas and the requests behind a rid. */

const CLEARINGS_A_MONTH = 10;
const TRACE_LIFE_MS = 7 * 86_400_000;
const RID = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$/;
const DAY_MS = 86_400_000;
/** WeChat's day and month begin in Beijing. */
const BEIJING_MS = 8 * 3_600_000;

/** Calls a day by path, as accounts without a contract have them. */
const DAILY_LIMITS: Readonly<Record<string, number>> = {
  '/cgi-bin/component/api_component_token': 10_000,
  '/cgi-bin/component/api_start_push_ticket': 1_000,
  '/cgi-bin/component/api_create_preauthcode': 100_000,
  '/cgi-bin/component/api_query_auth': 100_000,
  '/cgi-bin/component/api_authorizer_token': 100_000,
  '/cgi-bin/component/api_get_authorizer_info': 100_000,
  '/cgi-bin/component/api_get_authorizer_list': 100_000,
  '/cgi-bin/message/custom/send': 500_000,
  '/cgi-bin/token': 2_000,
  '/cgi-bin/stable_token': 500_000,
  '/cgi-bin/ticket/getticket': 2_000,
};

export function getQuota(world: World, request: ApiRequest): Outcome {
  const caller = callerOf(world, request);
  if (typeof caller === 'number') return caller;
  if (request.body === undefined) return request.text === '' ? 44002 : 47001;
  const path = request.body['cgi_path'];
  if (typeof path !== 'string' || !path.startsWith('/')) return 76003;
  if (path.startsWith('/sns/')) return 76022;
  const limit = limitOf(world, path);
  if (limit === undefined) return 76021;
  if (path.startsWith('/cgi-bin/component/') !== caller.isComponent) return 76022;
  const api = path.slice(path.lastIndexOf('/') + 1);
  const used = countCalls(world, api, caller.appid, dayBegan(world));
  return {
    errcode: 0,
    errmsg: 'ok',
    quota: { daily_limit: limit, used, remain: Math.max(0, limit - used) },
    rate_limit: { call_count: 1000, refresh_second: 60 },
    component_rate_limit: { call_count: 1000, refresh_second: 60 },
  };
}

/** Whether this call comes after a limit that was set was reached. */
export function isOverLimit(world: World, path: string, { api, appid }: CallRecord): boolean {
  const limit = world.settings.dailyLimits[path];
  if (limit === undefined) return false;
  // This call is in the ledger, too.
  return countCalls(world, api, appid, dayBegan(world)) > limit;
}

export function getTrace(world: World, request: ApiRequest): Outcome {
  const caller = callerOf(world, request);
  if (typeof caller === 'number') return caller;
  const rid = request.body?.['rid'];
  if (typeof rid !== 'string' || !RID.test(rid)) return 76002;
  const trace = world.operations.traces.get(rid);
  if (trace === undefined || world.clock.now() - trace.at > TRACE_LIFE_MS) return 76001;
  if (trace.owner !== caller.appid) return 76003;
  return {
    errcode: 0,
    errmsg: 'ok',
    request: {
      invoke_time: Math.floor(trace.at / 1000),
      cost_in_ms: trace.tookMs,
      request_url: trace.url,
      request_body: trace.requestBody,
      response_body: trace.responseBody,
      client_ip: trace.clientIp,
    },
  };
}

/** Of the platform itself, or with `appid` of one account that authorized it. */
export function clearComponentQuota(world: World, { body }: ApiRequest): Outcome {
  const component = world.components.get(textOf(body?.['component_appid']));
  if (component === undefined) return 40013;
  const secret = textOf(body?.['appsecret']);
  if (secret !== component.secret) return secret === '' ? 41004 : 40125;
  const authorizer = body?.['appid'];
  if (authorizer === undefined || authorizer === component.appid)
    return clear(world, component.appid);
  const authorizations = world.authorizations.get(component.appid);
  return authorizations?.has(textOf(authorizer)) ? clear(world, textOf(authorizer)) : 61003;
}

export function clearAccountQuota(world: World, { body }: ApiRequest): Outcome {
  const account = world.accounts.get(textOf(body?.['appid']));
  if (account === undefined) return 40013;
  const secret = textOf(body?.['appsecret']);
  if (secret !== account.secret) return secret === '' ? 41004 : 40125;
  return clear(world, account.appid);
}

function clear(world: World, appid: string): Outcome {
  const month = monthOf(world.clock.now());
  const times = world.operations.clearings.get(appid) ?? [];
  if (times.filter((at) => monthOf(at) === month).length >= CLEARINGS_A_MONTH) return 48006;
  clearCalls(world, appid);
  return { errcode: 0, errmsg: 'ok' };
}

/** Who calls, by a live token of any kind. */
function callerOf(
  world: World,
  request: ApiRequest,
): { appid: string; isComponent: boolean } | number {
  if (!request.query.has('access_token')) return 41001;
  const token = tokenIn(world, request);
  const verdict = judge(token?.issued, world.clock.now());
  if (token === undefined || verdict !== 'live') return verdict === 'expired' ? 42001 : 40001;
  return { appid: token.appid, isComponent: token.kind === 'component_access_token' };
}

function limitOf({ settings }: World, path: string): number | undefined {
  return settings.dailyLimits[path] ?? DAILY_LIMITS[path];
}

function dayBegan({ clock }: World): number {
  return Math.floor((clock.now() + BEIJING_MS) / DAY_MS) * DAY_MS - BEIJING_MS;
}

function monthOf(at: number): string {
  return new Date(at + BEIJING_MS).toISOString().slice(0, 7);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
