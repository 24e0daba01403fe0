import * as z from 'zod';
import { WechatError, type WechatApi } from '../client.ts';

/**
 * The calls of people who look after an installation: how much of a quota is left, what became of one
 * request, and the clearing of quotas. None of them mints anything.
 * Source: developers.weixin.qq.com, openApi/openapi (quota get, rid get, clear quota, component clear
 * quota v2) and the page on the addresses of WeChat's API.
 */

/** Calls of one API by one account today; WeChat counts them by Beijing's day. */
export interface Quota {
  limit: number;
  used: number;
  remaining: number;
}

/** One request as WeChat remembers it, for seven days. It holds tokens and secrets. */
export interface TracedRequest {
  /** Epoch ms. */
  invokedAt: number;
  tookMs: number;
  /** Path and query. */
  url: string;
  requestBody: string;
  responseBody: string;
  /** The address that WeChat saw. */
  clientIp: string;
}

const count = z.coerce.number().int();
const quotaSchema = z.object({ daily_limit: count, used: count, remain: count });
const tracedSchema = z.object({
  invoke_time: count,
  cost_in_ms: count.catch(0),
  request_url: z.string().catch(''),
  request_body: z.string().catch(''),
  response_body: z.string().catch(''),
  client_ip: z.string().catch(''),
});

/**
 * @param call.accessToken of the component for paths under /cgi-bin/component/, otherwise of the account
 * @param call.path of the API that is asked about, e.g. `/cgi-bin/component/api_component_token`
 * @throws WechatError; errcode 76021 when WeChat does not know the path, 76022 when the token does not fit
 */
export async function fetchQuota(
  api: WechatApi,
  { accessToken, path }: { accessToken: string; path: string },
): Promise<Quota> {
  const name = 'openapi/quota/get';
  const { fields } = await api({
    name,
    path: '/cgi-bin/openapi/quota/get',
    query: { access_token: accessToken },
    body: { cgi_path: path },
    expects: 'quota',
    issuesToken: false,
  });
  const quota = shaped(name, quotaSchema, fields.quota);
  return { limit: quota.daily_limit, used: quota.used, remaining: quota.remain };
}

/**
 * @param call.accessToken of the account that made the request
 * @throws WechatError; errcode 76001 when WeChat knows no such request, or not any more; 76002 when the
 *   rid is malformed, 76003 when the request was another account's
 */
export async function fetchTrace(
  api: WechatApi,
  { accessToken, rid }: { accessToken: string; rid: string },
): Promise<TracedRequest> {
  const name = 'openapi/rid/get';
  const { fields } = await api({
    name,
    path: '/cgi-bin/openapi/rid/get',
    query: { access_token: accessToken },
    body: { rid },
    expects: 'request',
    issuesToken: false,
    // A traced answer may be as long as an answer can be, and is escaped once more.
    maxAnswerBytes: 1_048_576,
  });
  const traced = shaped(name, tracedSchema, fields.request);
  return {
    invokedAt: traced.invoke_time * 1000,
    tookMs: traced.cost_in_ms,
    url: traced.request_url,
    requestBody: traced.request_body,
    responseBody: traced.response_body,
    clientIp: traced.client_ip,
  };
}

/**
 * Sets all of today's counters of a platform, or of one account that authorized it, back to 0. WeChat
 * allows that ten times a month and account; it needs no token, so it helps when none can be had.
 * @throws WechatError; errcode 48006 when none of the ten is left
 */
export async function clearComponentQuota(
  api: WechatApi,
  component: { appid: string; appsecret: string; authorizerAppid?: string | undefined },
): Promise<void> {
  const { authorizerAppid } = component;
  await api({
    name: 'component/clear_quota/v2',
    path: '/cgi-bin/component/clear_quota/v2',
    body: {
      component_appid: component.appid,
      // Named so here, and otherwise in every other call.
      appsecret: component.appsecret,
      ...(authorizerAppid === undefined ? {} : { appid: authorizerAppid }),
    },
    issuesToken: true,
  });
}

/**
 * The same for an official account or mini-program of our own.
 * @throws WechatError; errcode 48006 when none of the ten is left
 */
export async function clearAccountQuota(
  api: WechatApi,
  { appid, appsecret }: { appid: string; appsecret: string },
): Promise<void> {
  await api({
    name: 'clear_quota/v2',
    path: '/cgi-bin/clear_quota/v2',
    body: { appid, appsecret },
    issuesToken: true,
  });
}

/** @throws WechatError `bad_body` */
function shaped<T>(api: string, schema: z.ZodType<T>, raw: unknown): T {
  const result = schema.safeParse(raw);
  if (result.success) return result.data;
  throw new WechatError({
    api,
    host: '',
    fault: 'bad_body',
    class: 'retry',
    mayHaveRun: true,
    byHand: true,
  });
}
