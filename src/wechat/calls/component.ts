import type { WechatApi } from '../client.ts';
import { readTokenAnswer, type TokenAnswer } from '../token-answer.ts';

/**
 * The calls of a third-party platform.
 * Source: developers.weixin.qq.com, openApi/ticket-token (api_getcomponentaccesstoken,
 * api_getpreauthcode, api_startpushticket).
 */

/** Seconds a component_access_token lives by the documentation. */
export const COMPONENT_ACCESS_TOKEN_LIFE_SECONDS = 7200;
/** Seconds a pre_auth_code lives by the documentation; its own sample answer says 600. */
export const PRE_AUTH_CODE_LIFE_SECONDS = 1800;

/** @throws WechatError */
export async function fetchComponentAccessToken(
  api: WechatApi,
  component: { appid: string; appsecret: string; ticket: string },
): Promise<TokenAnswer> {
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
  return readTokenAnswer(
    name,
    answer,
    'component_access_token',
    COMPONENT_ACCESS_TOKEN_LIFE_SECONDS,
  );
}

/** @throws WechatError */
export async function createPreAuthCode(
  api: WechatApi,
  component: { appid: string; componentAccessToken: string },
): Promise<TokenAnswer> {
  const name = 'api_create_preauthcode';
  const answer = await api({
    name,
    path: '/cgi-bin/component/api_create_preauthcode',
    query: { component_access_token: component.componentAccessToken },
    body: { component_appid: component.appid },
    expects: 'pre_auth_code',
    issuesToken: false,
  });
  return readTokenAnswer(name, answer, 'pre_auth_code', PRE_AUTH_CODE_LIFE_SECONDS);
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
