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
  meaning: string;
  advice: string;
}

const RETRY_ADVICE = 'Nothing to do: it is tried again by itself.';
const BUG_ADVICE = 'This is a fault of wxkeeper: please report it with the rid.';
const SECRET_ADVICE =
  'Compare the configured AppSecret (COMPONENT_APPSECRET, or appsecret in CONFIG_FILE) with the ' +
  'console; after a reset the old one is void.';
const APPID_ADVICE =
  'Compare the configured appid (COMPONENT_APPID, or appid in CONFIG_FILE) with the console, capitals ' +
  'included.';
const WHITELIST_ADVICE =
  "Add this server's outgoing address to the IP whitelist in the console; a platform's whitelist " +
  'takes effect with its next release.';
const REAUTHORIZE_ADVICE =
  'The account must open the authorization page again; until then nothing is called for it.';

const NEW_CODE_ADVICE =
  'The merchant must authorize again, or change the permission sets in the console of the account, which ' +
  'sends a fresh code.';

const row = (cls: ErrorClass, meaning: string, advice: string): ErrcodeMeaning => ({
  class: cls,
  meaning,
  advice,
});

const MEANINGS: Readonly<Record<number, ErrcodeMeaning>> = {
  [-1]: row('retry', 'WeChat is busy', RETRY_ADVICE),
  [-1000]: row('retry', 'WeChat is busy', RETRY_ADVICE),
  61450: row('retry', 'system error at WeChat', RETRY_ADVICE),
  9402202: row('retry', 'too many calls at the same moment', RETRY_ADVICE),
  45011: row('rate', 'too many calls within a minute', RETRY_ADVICE),
  40001: row('token', 'the token is invalid or not the latest', 'It is refreshed by itself.'),
  40014: row('token', 'the token is not a legal one', 'It is refreshed by itself.'),
  42001: row('token', 'the token has expired', 'It is refreshed by itself.'),
  61005: row(
    'ticket',
    'the component_verify_ticket has expired',
    'The next ticket push heals this. If none arrives, check the authorization-event URL.',
  ),
  61006: row(
    'ticket',
    'the component_verify_ticket is invalid',
    'The next ticket push heals this. If none arrives, check the authorization-event URL.',
  ),
  40013: row('config', 'the appid is wrong', APPID_ADVICE),
  40125: row('config', 'the AppSecret is wrong', SECRET_ADVICE),
  41004: row('config', 'the AppSecret is missing', SECRET_ADVICE),
  40243: row('config', 'the AppSecret is frozen', 'Unfreeze it in the console.'),
  40164: row('config', 'this address is not on the IP whitelist', WHITELIST_ADVICE),
  61004: row('config', "this address is not on the platform's IP whitelist", WHITELIST_ADVICE),
  40090: row('config', "this address is not on the platform's IP whitelist", WHITELIST_ADVICE),
  89503: row('config', 'the call waits for confirmation', 'An administrator must confirm it.'),
  89501: row('config', 'the confirmation is pending', 'An administrator must confirm it.'),
  89506: row('config', 'the confirmation was refused repeatedly', 'Talk to the administrator.'),
  89507: row('config', 'the confirmation was refused', 'Talk to the administrator.'),
  48017: row('config', 'a retired address of WeChat was used', 'Use host names, not addresses.'),
  61000: row('config', 'the component type is wrong', 'Check COMPONENT_APPID.'),
  61001: row('config', 'type or appid of the component differ', 'Check COMPONENT_APPID.'),
  61011: row('config', 'the component is invalid', 'Check COMPONENT_APPID and its approval.'),
  61028: row('config', 'the platform is not released', 'Release it in the console.'),
  61029: row('config', 'the platform must be released again', 'Release it in the console.'),
  45009: row(
    'quota',
    'the daily quota of this call is used up',
    'It is tried again every 5 to 10 minutes, each hour while a live value is left, and just after midnight ' +
      'in Beijing. npm run doctor -- quota shows how much is used, and clears it, 10 times ' +
      'a month: POST /cgi-bin/component/clear_quota/v2 for a platform, POST /cgi-bin/clear_quota/v2 for ' +
      'an account, both with the AppSecret.',
  ),
  48006: row('quota', 'no quota clearing is left this month', 'Wait for the next day.'),
  61003: row('reauthorize', 'this account has not authorized the platform', REAUTHORIZE_ADVICE),
  61023: row('reauthorize', 'the refresh token is invalid', REAUTHORIZE_ADVICE),
  40030: row('reauthorize', 'the refresh token is invalid', REAUTHORIZE_ADVICE),
  42002: row('reauthorize', 'the refresh token has expired', REAUTHORIZE_ADVICE),
  61009: row('reauthorize', 'the authorization code is invalid or was used', NEW_CODE_ADVICE),
  61010: row('reauthorize', 'the authorization code has expired', NEW_CODE_ADVICE),
  42007: row('reauthorize', 'the account changed its password', REAUTHORIZE_ADVICE),
  48001: row('permission', 'this call is not granted', 'Check the permission sets.'),
  48004: row('permission', 'this call is banned', 'See the console for the reason.'),
  45015: row('permission', 'the user wrote too long ago to be answered', 'Nothing to do.'),
  45047: row('permission', 'the user was answered too often', 'Nothing to do.'),
  50002: row('permission', 'the user is restricted', 'See the console for the reason.'),
  61007: row('permission', 'the permission set is not granted', 'Check the permission sets.'),
  40002: row('bug', 'the grant_type is wrong', BUG_ADVICE),
  40003: row('bug', 'the openid is wrong', BUG_ADVICE),
  40097: row('bug', 'a parameter is wrong', BUG_ADVICE),
  40033: row('bug', 'the text holds characters that WeChat refuses', BUG_ADVICE),
  40170: row('bug', 'a page of the list is too long', BUG_ADVICE),
  41001: row('bug', 'the access token is missing', BUG_ADVICE),
  41002: row('bug', 'the appid is missing', BUG_ADVICE),
  41018: row('bug', 'component_appid is missing', BUG_ADVICE),
  43001: row('bug', 'GET was expected', BUG_ADVICE),
  43002: row('bug', 'POST was expected', BUG_ADVICE),
  43003: row('bug', 'https was expected', 'Use https in WECHAT_API_BASE_URLS.'),
  44002: row('bug', 'the body is empty', BUG_ADVICE),
  47001: row('bug', 'the body is not JSON', BUG_ADVICE),
  61008: row('bug', 'a request key is doubled', BUG_ADVICE),
  61014: row('bug', 'the wrong kind of token was used', BUG_ADVICE),
  61015: row('bug', 'the wrong kind of token was used', BUG_ADVICE),
  61024: row('bug', 'a component must use api_component_token', BUG_ADVICE),
};

/** The refresh token is not taken, or not any more: WeChat may name another one. */
export const DEAD_REFRESH_TOKEN: readonly (number | undefined)[] = [61023, 40030, 42002];

/**
 * What an errcode means.
 * @param issuesToken true for calls authenticated by the AppSecret, where 40001 means a wrong one
 */
export function explainErrcode(errcode: number, issuesToken: boolean): ErrcodeMeaning {
  if (errcode === 40001 && issuesToken)
    return row('config', 'the AppSecret is wrong', SECRET_ADVICE);
  return (
    MEANINGS[errcode] ??
    row(
      'retry',
      'an answer that wxkeeper does not know',
      "Look the errcode up in WeChat's documentation.",
    )
  );
}
