import type { Text } from '../lib/language.ts';

/**
 * WeChat's error codes: what they mean for a token keeper and what a person can do about them.
 * Codes without an official page come from forum answers by WeChat's staff and users.
 *
 * - retry: busy, try again soon
 * - rate: a per-minute limit, wait at least a minute
 * - token: the token used in the call is dead
 * - ticket: the component_verify_ticket is dead, the next push heals it
 * - config: a person must change a setting or the console; asking again changes nothing
 * - quota: used up until the next day or until it is cleared
 * - reauthorize: the account must authorize the platform again
 * - permission: the platform or account lacks a right
 * - bug: our request was wrong
 */
export type ErrorClass =
  'retry' | 'rate' | 'token' | 'ticket' | 'config' | 'quota' | 'reauthorize' | 'permission' | 'bug';

/** What ends a refusal: nothing but a while, a day, or somebody who has to do something. */
const HEALED_BY: Readonly<Record<ErrorClass, 'itself' | 'time' | 'a person'>> = {
  retry: 'itself',
  rate: 'itself',
  token: 'itself',
  ticket: 'itself',
  quota: 'time',
  config: 'a person',
  reauthorize: 'a person',
  permission: 'a person',
  bug: 'a person',
};

/** @param cls also one that is kept with an error, and may be none of WeChat's: then undefined */
export function healedBy(cls: string): (typeof HEALED_BY)[ErrorClass] | undefined {
  return Object.hasOwn(HEALED_BY, cls) ? HEALED_BY[cls as ErrorClass] : undefined;
}

export interface ErrcodeMeaning {
  class: ErrorClass;
  meaning: Text;
  /** What a person can do about it. */
  advice: Text;
}

const RETRY: Text = {
  en: 'Nothing to do: it is tried again by itself.',
  zh: '无需处理：会自动重试。',
};
const REPORT: Text = {
  en: 'This is a fault of wxkeeper: please report it with the rid.',
  zh: '这是 wxkeeper 的缺陷：请带上 rid 反馈给我们。',
};
const CHECK_SECRET: Text = {
  en:
    'Compare the configured AppSecret (COMPONENT_APPSECRET, or appsecret in CONFIG_FILE) ' +
    'with the console; after a reset the old one is void.',
  zh: '与控制台核对配置的 AppSecret（COMPONENT_APPSECRET，或 CONFIG_FILE 中的 appsecret）；重置之后旧值作废。',
};
const CHECK_APPID: Text = {
  en:
    'Compare the configured appid (COMPONENT_APPID, or appid in CONFIG_FILE) with the ' +
    'console, capitals included.',
  zh: '与控制台核对配置的 appid（COMPONENT_APPID，或 CONFIG_FILE 中的 appid），注意大小写。',
};
const ADD_ADDRESS: Text = {
  en:
    "Add this server's outgoing address to the IP whitelist in the console; a platform's " +
    'whitelist takes effect with its next release.',
  zh: '在控制台把本机出口 IP 加入白名单；第三方平台的白名单要在下次全网发布后才生效。',
};
const AUTHORIZE_AGAIN: Text = {
  en: 'The account must open the authorization page again; until then nothing is called for it.',
  zh: '该账号须重新打开授权页；在此之前不会为它调用任何接口。',
};
const NEW_CODE: Text = {
  en:
    'The merchant must authorize again, or change the permission sets in the console of the ' +
    'account, which sends a fresh code.',
  zh: '商家须重新授权；或在账号后台修改权限集，微信会推送新的授权码。',
};
const REFRESHED: Text = { en: 'It is refreshed by itself.', zh: '会自动刷新。' };
const NEXT_TICKET: Text = {
  en: 'The next ticket push heals this. If none arrives, check the authorization-event URL.',
  zh: '下一次票据推送会自动修复。一直不来就检查授权事件接收 URL。',
};
const CONFIRM: Text = { en: 'An administrator must confirm it.', zh: '由管理员在微信中确认。' };
const TALK: Text = { en: 'Talk to the administrator.', zh: '与管理员沟通。' };
const CHECK_COMPONENT: Text = { en: 'Check COMPONENT_APPID.', zh: '检查 COMPONENT_APPID。' };
const RELEASE: Text = { en: 'Release it in the console.', zh: '在控制台全网发布。' };
const CHECK_PERMISSIONS: Text = { en: 'Check the permission sets.', zh: '检查权限集。' };
const SEE_CONSOLE: Text = { en: 'See the console for the reason.', zh: '到控制台查看原因。' };
const NOTHING: Text = { en: 'Nothing to do.', zh: '无需处理。' };
const CLEAR_QUOTA: Text = {
  en:
    'It is tried again every 5 to 10 minutes, each hour while a live value is left, and just ' +
    'after midnight in Beijing. npm run doctor -- quota shows how much is used, and clears ' +
    'it, 10 times a month: POST /cgi-bin/component/clear_quota/v2 for a platform, POST ' +
    '/cgi-bin/clear_quota/v2 for an account, both with the AppSecret.',
  zh: '每 5 到 10 分钟会再试一次（仍有可用的值时每小时一次），北京时间零点过后也会立即再试。npm run doctor -- quota 可查看用量，也可立即清零（每月 10 次）：平台用 POST /cgi-bin/component/clear_quota/v2，自有账号用 POST /cgi-bin/clear_quota/v2，都带上 AppSecret。',
};

const row = (cls: ErrorClass, en: string, zh: string, advice: Text): ErrcodeMeaning => ({
  class: cls,
  meaning: { en, zh },
  advice,
});

const MEANINGS: Readonly<Record<number, ErrcodeMeaning>> = {
  [-1]: row('retry', 'WeChat is busy', '微信系统繁忙', RETRY),
  [-1000]: row('retry', 'WeChat is busy', '微信系统繁忙', RETRY),
  61450: row('retry', 'system error at WeChat', '微信系统错误', RETRY),
  9402202: row('retry', 'too many calls at the same moment', '同一时刻请求过多', RETRY),
  45011: row('rate', 'too many calls within a minute', '一分钟内调用太频繁', RETRY),
  40001: row(
    'token',
    'the token is invalid or not the latest',
    'token 无效或不是最新的',
    REFRESHED,
  ),
  40014: row('token', 'the token is not a legal one', 'token 不合法', REFRESHED),
  42001: row('token', 'the token has expired', 'token 已过期', REFRESHED),
  61005: row('ticket', 'the component_verify_ticket has expired', '票据已过期', NEXT_TICKET),
  61006: row('ticket', 'the component_verify_ticket is invalid', '票据无效', NEXT_TICKET),
  40013: row('config', 'the appid is wrong', 'appid 错误', CHECK_APPID),
  40125: row('config', 'the AppSecret is wrong', 'AppSecret 错误', CHECK_SECRET),
  41004: row('config', 'the AppSecret is missing', '缺少 AppSecret', CHECK_SECRET),
  40243: row('config', 'the AppSecret is frozen', 'AppSecret 已被冻结', {
    en: 'Unfreeze it in the console.',
    zh: '在控制台解冻。',
  }),
  40164: row(
    'config',
    'this address is not on the IP whitelist',
    '出口 IP 不在白名单里',
    ADD_ADDRESS,
  ),
  61004: row(
    'config',
    "this address is not on the platform's IP whitelist",
    '出口 IP 不在平台的白名单里',
    ADD_ADDRESS,
  ),
  40090: row(
    'config',
    "this address is not on the platform's IP whitelist",
    '出口 IP 不在平台的白名单里',
    ADD_ADDRESS,
  ),
  89503: row('config', 'the call waits for confirmation', '调用等待管理员确认', CONFIRM),
  89501: row('config', 'the confirmation is pending', '管理员尚未确认', CONFIRM),
  89506: row('config', 'the confirmation was refused repeatedly', '管理员多次拒绝了这次调用', TALK),
  89507: row('config', 'the confirmation was refused', '管理员拒绝了这次调用', TALK),
  48017: row('config', 'a retired address of WeChat was used', '使用了微信已下线的 IP', {
    en: 'Use host names, not addresses.',
    zh: '使用域名，不要写死 IP。',
  }),
  61000: row('config', 'the component type is wrong', '第三方平台类型不对', CHECK_COMPONENT),
  61001: row(
    'config',
    'type or appid of the component differ',
    '第三方平台的类型与 appid 不符',
    CHECK_COMPONENT,
  ),
  61011: row('config', 'the component is invalid', '第三方平台无效', {
    en: 'Check COMPONENT_APPID and its approval.',
    zh: '检查 COMPONENT_APPID，确认平台已审核通过。',
  }),
  61028: row('config', 'the platform is not released', '平台未发布', RELEASE),
  61029: row('config', 'the platform must be released again', '平台需要重新发布', RELEASE),
  45009: row(
    'quota',
    'the daily quota of this call is used up',
    '该接口当日额度已用完',
    CLEAR_QUOTA,
  ),
  48006: row('quota', 'no quota clearing is left this month', '本月清零次数已用完', {
    en: 'Wait for the next day.',
    zh: '等到第二天。',
  }),
  61003: row(
    'reauthorize',
    'this account has not authorized the platform',
    '该账号没有授权给平台',
    AUTHORIZE_AGAIN,
  ),
  61023: row('reauthorize', 'the refresh token is invalid', 'refresh token 无效', AUTHORIZE_AGAIN),
  40030: row('reauthorize', 'the refresh token is invalid', 'refresh token 无效', AUTHORIZE_AGAIN),
  42002: row(
    'reauthorize',
    'the refresh token has expired',
    'refresh token 已过期',
    AUTHORIZE_AGAIN,
  ),
  61009: row(
    'reauthorize',
    'the authorization code is invalid or was used',
    '授权码无效或已被使用',
    NEW_CODE,
  ),
  61010: row('reauthorize', 'the authorization code has expired', '授权码已过期', NEW_CODE),
  42007: row(
    'reauthorize',
    'the account changed its password',
    '该账号修改了密码',
    AUTHORIZE_AGAIN,
  ),
  48001: row('permission', 'this call is not granted', '没有该接口的权限', CHECK_PERMISSIONS),
  48004: row('permission', 'this call is banned', '该接口已被封禁', SEE_CONSOLE),
  45015: row(
    'permission',
    'the user wrote too long ago to be answered',
    '用户太久没有发消息，不能再回复',
    NOTHING,
  ),
  45047: row(
    'permission',
    'the user was answered too often',
    '对该用户的回复次数已达上限',
    NOTHING,
  ),
  50002: row('permission', 'the user is restricted', '用户受限', SEE_CONSOLE),
  61007: row(
    'permission',
    'the permission set is not granted',
    '没有获得该权限集',
    CHECK_PERMISSIONS,
  ),
  40002: row('bug', 'the grant_type is wrong', 'grant_type 错误', REPORT),
  40003: row('bug', 'the openid is wrong', 'openid 错误', REPORT),
  40097: row('bug', 'a parameter is wrong', '参数错误', REPORT),
  40033: row(
    'bug',
    'the text holds characters that WeChat refuses',
    '文本含有微信不接受的字符',
    REPORT,
  ),
  40170: row('bug', 'a page of the list is too long', '列表每页条数超限', REPORT),
  41001: row('bug', 'the access token is missing', '缺少 access token', REPORT),
  41002: row('bug', 'the appid is missing', '缺少 appid', REPORT),
  41018: row('bug', 'component_appid is missing', '缺少 component_appid', REPORT),
  43001: row('bug', 'GET was expected', '应使用 GET', REPORT),
  43002: row('bug', 'POST was expected', '应使用 POST', REPORT),
  43003: row('bug', 'https was expected', '应使用 https', {
    en: 'Use https in WECHAT_API_BASE_URLS.',
    zh: 'WECHAT_API_BASE_URLS 请使用 https。',
  }),
  44002: row('bug', 'the body is empty', '请求体为空', REPORT),
  47001: row('bug', 'the body is not JSON', '请求体不是 JSON', REPORT),
  61008: row('bug', 'a request key is doubled', '请求参数重复', REPORT),
  61014: row('bug', 'the wrong kind of token was used', 'token 类型不对', REPORT),
  61015: row('bug', 'the wrong kind of token was used', 'token 类型不对', REPORT),
  61024: row(
    'bug',
    'a component must use api_component_token',
    '第三方平台必须使用 api_component_token',
    REPORT,
  ),
};

const WRONG_SECRET = row('config', 'the AppSecret is wrong', 'AppSecret 错误', CHECK_SECRET);
const UNKNOWN = row('retry', 'an answer that wxkeeper does not know', 'wxkeeper 不认识的应答', {
  en: "Look the errcode up in WeChat's documentation.",
  zh: '请在微信文档里查这个错误码。',
});

/** The refresh token is not taken, or not any more: WeChat may name another one. */
export const DEAD_REFRESH_TOKEN: readonly (number | undefined)[] = [61023, 40030, 42002];

/**
 * What an errcode means.
 * @param issuesToken true for calls authenticated by the AppSecret, where 40001 means a wrong one
 */
export function explainErrcode(errcode: number, issuesToken: boolean): ErrcodeMeaning {
  if (errcode === 40001 && issuesToken) return WRONG_SECRET;
  return MEANINGS[errcode] ?? UNKNOWN;
}
