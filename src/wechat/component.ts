import { WechatError, type WechatAnswer, type WechatApi } from './api.ts';

/**
 * The calls of a third-party platform that need no merchant.
 * Source: developers.weixin.qq.com, openApi/ticket-token (api_getcomponentaccesstoken,
 * api_getpreauthcode, api_startpushticket).
 */

/** Seconds a component_access_token lives by the documentation. */
export const COMPONENT_ACCESS_TOKEN_LIFE_SECONDS = 7200;
/** Seconds a pre_auth_code lives by the documentation; its own sample answer says 600. */
export const PRE_AUTH_CODE_LIFE_SECONDS = 1800;
/** Assumed when `expires_in` is missing or odd: a minted value is never thrown away for that. */
const ASSUMED_LIFE_SECONDS = 600;
const MAX_VALUE_CHARS = 1024;
const PRINTABLE = /^[\x21-\x7E]+$/;

export interface Minted {
  value: string;
  /** Whole seconds from the moment of the answer. */
  lifeSeconds: number;
  /** `expires_in` was missing or odd, so that the life above is our assumption. */
  lifeAssumed: boolean;
  /** WeChat may have issued another value shortly before this one. */
  mayHaveRunTwice: boolean;
}

/** @throws WechatError */
export async function fetchComponentAccessToken(
  api: WechatApi,
  component: { appid: string; appsecret: string; ticket: string },
): Promise<Minted> {
  const name = 'api_component_token';
  const answer = await api({
    name,
    path: '/cgi-bin/component/api_component_token',
    body: {
      component_appid: component.appid,
      component_appsecret: component.appsecret,
      component_verify_ticket: component.ticket,
    },
    expects: 'component_access_token',
    issuesToken: true,
  });
  return minted(name, answer, 'component_access_token', COMPONENT_ACCESS_TOKEN_LIFE_SECONDS);
}

/** @throws WechatError */
export async function createPreAuthCode(
  api: WechatApi,
  component: { appid: string; componentAccessToken: string },
): Promise<Minted> {
  const name = 'api_create_preauthcode';
  const answer = await api({
    name,
    path: '/cgi-bin/component/api_create_preauthcode',
    query: { component_access_token: component.componentAccessToken },
    body: { component_appid: component.appid },
    expects: 'pre_auth_code',
    issuesToken: false,
  });
  return minted(name, answer, 'pre_auth_code', PRE_AUTH_CODE_LIFE_SECONDS);
}

/**
 * Asks WeChat to push tickets (again). There is no call that fetches a ticket.
 * Note the field name: here it is `component_secret`.
 * @throws WechatError
 */
export async function startPushTicket(
  api: WechatApi,
  component: { appid: string; appsecret: string },
): Promise<void> {
  await api({
    name: 'api_start_push_ticket',
    path: '/cgi-bin/component/api_start_push_ticket',
    body: { component_appid: component.appid, component_secret: component.appsecret },
    issuesToken: true,
  });
}

function minted(api: string, answer: WechatAnswer, field: string, knownLife: number): Minted {
  const value = answer.fields[field];
  if (typeof value !== 'string' || value.length > MAX_VALUE_CHARS || !PRINTABLE.test(value)) {
    throw new WechatError({
      api,
      host: '',
      fault: 'bad_value',
      class: 'retry',
      meaning: `${field} in the answer is empty or malformed`,
      advice: 'It is tried again. If it stays, look for a proxy between this server and WeChat.',
      mayHaveRun: true,
    });
  }
  const { mayHaveRunTwice } = answer;
  return { value, ...readLife(answer.fields.expires_in, knownLife), mayHaveRunTwice };
}

/** Seconds of life from `expires_in`: integers and integer strings, never more than is documented. */
export function readLife(
  expiresIn: unknown,
  knownLife: number,
): { lifeSeconds: number; lifeAssumed: boolean } {
  const seconds =
    typeof expiresIn === 'string' && /^\d{1,9}$/.test(expiresIn) ? Number(expiresIn) : expiresIn;
  if (typeof seconds === 'number' && Number.isInteger(seconds) && seconds > 0) {
    return { lifeSeconds: Math.min(seconds, knownLife), lifeAssumed: seconds > knownLife };
  }
  return { lifeSeconds: Math.min(ASSUMED_LIFE_SECONDS, knownLife), lifeAssumed: true };
}
