import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendText, writeHead } from './answers.ts';
import { nicknameOf } from './authorizer-profile.ts';
import { pushAuthorized } from './authorization-events.ts';
import { findAuthorization, grant, listAuthorizations, type Grant } from './authorizers.ts';
import { find, judge } from './values.ts';
import { ACCOUNT_KINDS, type AccountKind, type ApiRequest, type World } from './model.ts';

/**
 * The pages on which a merchant authorizes a component, on a computer and on a phone. They look
 * nothing like WeChat's; they refuse what WeChat refuses, and confirming does what it does there.
 */

const PATHS: readonly string[] = [
  '/cgi-bin/componentloginpage',
  '/wxaopen/safe/bindcomponent',
  '/safe/bindcomponent',
];

/** How many of those that have authorized already are offered again. */
const OFFERED = 10;

/** Two that need not be known to anybody before. */
const NEWCOMERS: readonly Account[] = [
  { appid: 'wxb000000000000001', kind: 'official', name: '模拟服务号' },
  { appid: 'wxb000000000000002', kind: 'mini', name: '模拟小程序' },
];

interface Account {
  appid: string;
  kind: AccountKind;
  name: string;
}

/** A link that is good, as far as it can be known. */
interface Link {
  component: string;
  preAuthCode: string;
  redirectUri: URL;
  query: URLSearchParams;
}

/** Words for the person in front of the browser, in both languages. */
class Refusal extends Error {}

export function isPage(path: string): boolean {
  return PATHS.includes(path);
}

export function handlePage(
  world: World,
  path: string,
  request: ApiRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
): void {
  try {
    const link = readLink(world, request.query);
    if (request.method === 'GET') {
      checkReferer(link, incoming.headers.referer);
      sendPage(world, response, 200, choice(world, path, link));
    } else if (request.method === 'POST') {
      confirm(world, link, new URLSearchParams(request.text), response);
    } else {
      throw new Refusal('请用浏览器打开。Open this in a browser.');
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    sendPage(world, response, 400, `<h1>无法授权 / Refused</h1>\n<p>${escape(error.message)}</p>`);
  }
}

function readLink(world: World, query: URLSearchParams): Link {
  const component = query.get('component_appid') ?? '';
  if (!world.components.has(component)) {
    throw new Refusal('component_appid 有误。There is no such component_appid.');
  }
  const preAuthCode = query.get('pre_auth_code') ?? '';
  const issued = find(world, 'pre_auth_code', preAuthCode);
  const verdict = issued?.owner === component ? judge(issued, world.clock.now()) : 'unknown';
  if (verdict === 'ended') {
    throw new Refusal('pre_auth_code 已被使用，请重新获取链接。The pre_auth_code was used before.');
  }
  if (verdict === 'expired') {
    throw new Refusal('pre_auth_code 已过期，请重新获取链接。The pre_auth_code has expired.');
  }
  if (verdict !== 'live') {
    throw new Refusal('pre_auth_code 无效。Nobody issued this pre_auth_code to the component.');
  }
  const redirectUri = parseUrl(query.get('redirect_uri') ?? '');
  if (redirectUri === undefined) {
    throw new Refusal('redirect_uri 有误。The redirect_uri is not a whole http or https URL.');
  }
  return { component, preAuthCode, redirectUri, query };
}

/** The page that the merchant comes from must be on the domain that the code goes back to. */
function checkReferer({ redirectUri }: Link, referer: string | undefined): void {
  const from = parseUrl(referer ?? '');
  if (from === undefined) {
    throw new Refusal(
      '请从授权发起页点击链接进入，不要直接打开网址。' +
        'No Referer: come by a link on a page of the platform, not by the address bar.',
    );
  }
  if (from.hostname !== redirectUri.hostname) {
    throw new Refusal(
      `redirect_uri 域名与授权发起页域名不一致。The host of redirect_uri, ${redirectUri.hostname}, ` +
        `is not the host of the page you come from, ${from.hostname}.`,
    );
  }
}

function parseUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : undefined;
}

function choice(world: World, path: string, { component, query }: Link): string {
  const action = escape(`${path}?${query.toString()}`);
  const forms = accountsFor(world, component, query).map(({ appid, kind, name }) => {
    const type = kind === 'mini' ? '小程序 / mini-program' : '公众号 / official account';
    return `<form method="post" action="${action}">
<input type="hidden" name="authorizer" value="${escape(appid)}">
<input type="hidden" name="kind" value="${kind}">
<button type="submit">${escape(name)} · ${escape(appid)} · ${type}</button>
</form>`;
  });
  return `<h1>选择要授权的账号 / Choose the account that authorizes</h1>
<p>平台 / platform: ${escape(component)}</p>
${forms.length > 0 ? forms.join('\n') : '<p>没有符合的账号。No account of this type.</p>'}`;
}

function accountsFor(world: World, component: string, query: URLSearchParams): Account[] {
  const wanted = query.get('biz_appid') ?? '';
  const type = query.get('auth_type');
  if (wanted !== '')
    return [accountOf(world, component, wanted, type === '2' ? 'mini' : undefined)];
  const known = Array.from(listAuthorizations(world, component, 0, OFFERED), ([appid]) =>
    accountOf(world, component, appid),
  );
  const newcomers = NEWCOMERS.filter(({ appid }) => !known.some((one) => one.appid === appid));
  return [...known, ...newcomers].filter(
    ({ kind }) => !(type === '1' && kind === 'mini') && !(type === '2' && kind === 'official'),
  );
}

function accountOf(
  world: World,
  component: string,
  appid: string,
  kind: AccountKind = 'official',
): Account {
  const authorization = findAuthorization(world, component, appid);
  const name = nicknameOf(appid, authorization ?? {});
  return { appid, kind: authorization?.kind ?? kind, name };
}

/** The merchant presses the button. */
function confirm(world: World, link: Link, form: URLSearchParams, response: ServerResponse): void {
  const authorizer = form.get('authorizer') ?? '';
  const wanted = link.query.get('biz_appid') ?? '';
  if (!/^[^:]+$/.test(authorizer) || (wanted !== '' && wanted !== authorizer)) {
    throw new Refusal('账号有误。This is not an account that the link is for.');
  }
  const { event, redirect, twoCodes } = world.confirmation;
  const { component, preAuthCode } = link;
  const before = findAuthorization(world, component, authorizer)?.funcs;
  const granted = grant(world, component, authorizer, {
    preAuthCode,
    twoCodes,
    funcs: funcsOf(link.query) ?? before,
    kind: ACCOUNT_KINDS.find((kind) => kind === form.get('kind')),
    nickname: NEWCOMERS.find(({ appid }) => appid === authorizer)?.name,
  });
  if (event === 'push') pushInBackground(world, link, authorizer, granted, before);
  if (redirect === 'lost') {
    sendPage(world, response, 200, '<h1>授权成功 / Authorized</h1>\n<p>没有跳转。No way back.</p>');
    return;
  }
  const back = new URL(link.redirectUri);
  const answer = `auth_code=${encodeURIComponent(granted.redirectCode)}&expires_in=${granted.expiresIn}`;
  back.search = back.search === '' ? answer : `${back.search}&${answer}`;
  writeHead(world, response, 302, { Location: back.href, 'Content-Length': 0 });
  response.end();
}

/** Who authorizes again with the permission sets as they were causes no event. */
function pushInBackground(
  world: World,
  { component, preAuthCode }: Link,
  authorizer: string,
  { eventCode }: Grant,
  before: readonly number[] | undefined,
): void {
  if (world.components.get(component)?.callbackUrl === undefined) return;
  const now = findAuthorization(world, component, authorizer)?.funcs ?? [];
  if (before !== undefined && String(before) === String(now)) return;
  const infoType = before === undefined ? 'authorized' : 'updateauthorized';
  void pushAuthorized(world, component, authorizer, eventCode, { infoType, preAuthCode });
}

function funcsOf(query: URLSearchParams): number[] | undefined {
  const ids = (query.get('category_id_list') ?? '').split('|').map(Number);
  return ids.every((id) => Number.isSafeInteger(id) && id > 0) ? ids : undefined;
}

function sendPage(world: World, response: ServerResponse, status: number, body: string): void {
  const page = `<!DOCTYPE html>
<html lang="zh-CN">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>模拟微信授权</title></head>
<body>
<p>这是模拟器，不是微信。This is a simulator and not WeChat.</p>
${body}
</body>
</html>
`;
  sendText(world, response, status, 'text/html; charset=utf-8', page);
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
