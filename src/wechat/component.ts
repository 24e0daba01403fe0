import type { WechatApi } from './api.ts';
import { isUsable, readMinted, type Minted } from './minted.ts';

/**
 * The calls of a third-party platform.
 * Source: developers.weixin.qq.com, openApi/ticket-token (api_getcomponentaccesstoken,
 * api_getpreauthcode, api_startpushticket, api_getauthorizeraccesstoken).
 */

/** Seconds a component_access_token lives by the documentation. */
export const COMPONENT_ACCESS_TOKEN_LIFE_SECONDS = 7200;
/** Seconds a pre_auth_code lives by the documentation; its own sample answer says 600. */
export const PRE_AUTH_CODE_LIFE_SECONDS = 1800;
/** Seconds an authorizer_access_token lives by the documentation. */
const AUTHORIZER_ACCESS_TOKEN_LIFE_SECONDS = 7200;

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
  return readMinted(name, answer, 'component_access_token', COMPONENT_ACCESS_TOKEN_LIFE_SECONDS);
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
  return readMinted(name, answer, 'pre_auth_code', PRE_AUTH_CODE_LIFE_SECONDS);
}

/**
 * The token of an authorizer. The answer brings a refresh token too, which replaces the one that was
 * sent; an unusable one is left out, because the access token must not be lost for it.
 * @throws WechatError
 */
export async function fetchAuthorizerToken(
  api: WechatApi,
  call: {
    componentAppid: string;
    componentAccessToken: string;
    authorizerAppid: string;
    refreshToken: string;
  },
): Promise<Minted & { refreshToken: string | undefined }> {
  const name = 'api_authorizer_token';
  const answer = await api({
    name,
    path: '/cgi-bin/component/api_authorizer_token',
    query: { component_access_token: call.componentAccessToken },
    body: {
      component_appid: call.componentAppid,
      authorizer_appid: call.authorizerAppid,
      authorizer_refresh_token: call.refreshToken,
    },
    expects: 'authorizer_access_token',
    issuesToken: false,
  });
  const field = 'authorizer_access_token';
  const minted = readMinted(name, answer, field, AUTHORIZER_ACCESS_TOKEN_LIFE_SECONDS);
  const { authorizer_refresh_token: refreshToken } = answer.fields;
  return { ...minted, refreshToken: isUsable(refreshToken) ? refreshToken : undefined };
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
