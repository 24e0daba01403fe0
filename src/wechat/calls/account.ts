import type { WechatApi } from '../client.ts';
import { readTokenAnswer, type TokenAnswer } from '../token-answer.ts';

/**
 * The calls of an official account or mini-program of our own.
 * Source: developers.weixin.qq.com, getAccessToken, getStableAccessToken and the page on getticket.
 */

/** Seconds an access_token lives by the documentation; a stable one may have less left. */
const ACCESS_TOKEN_LIFE_SECONDS = 7200;
/** Seconds a jsapi or card ticket lives by the documentation. */
const TICKET_LIFE_SECONDS = 7200;

interface AccountSecret {
  appid: string;
  secret: string;
}

/**
 * The classic call: each one issues a new token, and the former one ends within minutes. WeChat
 * allows 2,000 a day.
 * @throws WechatError
 */
export async function fetchAccessToken(
  api: WechatApi,
  { appid, secret }: AccountSecret,
): Promise<TokenAnswer> {
  const answer = await api({
    name: 'token',
    method: 'GET',
    path: '/cgi-bin/token',
    query: { grant_type: 'client_credential', appid, secret },
    expects: 'access_token',
    issuesToken: true,
  });
  return readTokenAnswer('token', answer, 'access_token', ACCESS_TOKEN_LIFE_SECONDS);
}

/**
 * The stable call: it repeats the current token until the last five minutes of its life.
 * @param account.force ends the current token at once; WeChat allows that 20 times a day
 * @throws WechatError
 */
export async function fetchStableAccessToken(
  api: WechatApi,
  { appid, secret, force }: AccountSecret & { force: boolean },
): Promise<TokenAnswer> {
  const answer = await api({
    name: 'stable_token',
    path: '/cgi-bin/stable_token',
    body: {
      grant_type: 'client_credential',
      appid,
      secret,
      ...(force ? { force_refresh: true } : {}),
    },
    expects: 'access_token',
    issuesToken: true,
  });
  return readTokenAnswer('stable_token', answer, 'access_token', ACCESS_TOKEN_LIFE_SECONDS);
}

/**
 * The ticket for signing pages (`jsapi`) or cards (`wx_card`).
 * @throws WechatError
 */
export async function fetchTicket(
  api: WechatApi,
  { accessToken, type }: { accessToken: string; type: 'jsapi' | 'wx_card' },
): Promise<TokenAnswer> {
  const answer = await api({
    name: 'getticket',
    method: 'GET',
    path: '/cgi-bin/ticket/getticket',
    query: { access_token: accessToken, type },
    expects: 'ticket',
    issuesToken: false,
  });
  return readTokenAnswer('getticket', answer, 'ticket', TICKET_LIFE_SECONDS);
}
