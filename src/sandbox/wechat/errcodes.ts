import { randomBytes } from 'node:crypto';

/**
 * WeChat's global return codes, as far as they concern a component, with its own wording.
 * A fault rule may use any other number too.
 */
const ERRMSG: Readonly<Record<number, string>> = {
  [-1]: 'system error',
  40001: 'invalid credential, access_token is invalid or not latest',
  40002: 'invalid grant_type',
  40003: 'invalid openid',
  40008: 'invalid message type',
  40013: 'invalid appid',
  40014: 'invalid access_token',
  40030: 'invalid refresh_token',
  40033: 'invalid charset. please check your request, if include \\uxxxx will create fail!',
  40066: 'invalid url',
  40097: 'invalid args',
  40125: 'invalid appsecret',
  40170: 'args count exceed count limit',
  41001: 'access_token missing',
  41002: 'appid missing',
  41004: 'appsecret missing',
  41018: 'component_appid missing',
  42001: 'access_token expired',
  42002: 'refresh_token expired',
  43001: 'require GET method',
  43002: 'require POST method',
  44002: 'empty post data',
  44004: 'empty content',
  45009: 'reach max api daily quota limit',
  45011: 'api minute-quota reach limit, must slower, retry next minute',
  47001: 'data format error',
  48001: 'api unauthorized',
  48006: 'forbid to clear quota because of reaching the limit',
  61003: 'component is not authorized by this account',
  61004: 'access clientip is not registered',
  61005: 'component ticket is expired',
  61006: 'component ticket is invalid',
  61009: 'code is invalid',
  61010: 'code is expired',
  61011: 'invalid component',
  61023: 'refresh_token is invalid',
  76001: 'rid not found',
  76002: 'rid is error',
  76003: 'not permission or cgi_path is error',
  76021: 'cgi_path not found',
  76022: 'could not use this cgi_path, no permission',
};

/** A type and not an interface, so that it fits wherever any JSON object does. */
export type Failure = Readonly<{ errcode: number; errmsg: string }>;

/** `now` in epoch milliseconds: the first part of a real rid is the time of the call in hex. */
export function failure(errcode: number, now: number, errmsg = errmsgOf(errcode)): Failure {
  const seconds = Math.floor(now / 1000)
    .toString(16)
    .padStart(8, '0');
  const random = randomBytes(8).toString('hex');
  const rid = `${seconds.slice(-8)}-${random.slice(0, 8)}-${random.slice(8)}`;
  return { errcode, errmsg: `${errmsg} rid: ${rid}` };
}

export function errmsgOf(errcode: number): string {
  return ERRMSG[errcode] ?? 'simulated error';
}
