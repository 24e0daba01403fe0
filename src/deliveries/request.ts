import { createHmac, randomBytes } from 'node:crypto';
import type { Route } from '../config/routes.ts';
import { VERSION } from '../lib/version.ts';
import { encryptMessage, sign } from '../wechat/push/envelope.ts';

/** One delivery as it goes over the wire: in the form in which WeChat sends it, or as signed JSON. */
export interface TargetRequest {
  url: URL;
  headers: Record<string, string>;
  body: Buffer;
}

export interface DeliveredPush {
  id: string;
  component: string;
  /** What is kept of it: see `plan.ts`. */
  kept: Readonly<Record<string, string>>;
}

/** @param now epoch ms, of this attempt */
export function requestFor(route: Route, push: DeliveredPush, now: number): TargetRequest {
  const { kept, component, id } = push;
  const appid =
    kept.authorizer === undefined || kept.authorizer === '' ? component : kept.authorizer;
  const url = new URL(route.target.replaceAll(/\$APPID\$/gi, () => encodeURIComponent(appid)));
  const { query, contentType, body } = {
    raw: rawRequest,
    sealed: sealedRequest,
    json: jsonRequest,
  }[route.mode](route, push, now);
  const search = new URLSearchParams(query).toString();
  if (search !== '') url.search += (url.search === '' ? '?' : '&') + search;
  const { username, password } = url;
  url.username = '';
  url.password = '';
  return {
    url,
    body,
    headers: {
      'user-agent': `wxkeeper/${VERSION}`,
      ...(contentType === '' ? {} : { 'content-type': contentType }),
      ...(username === '' ? {} : { authorization: basic(username, password) }),
      ...webhookHeaders(id, now, body, route.secrets),
    },
  };
}

interface Parts {
  query: Record<string, string>;
  contentType: string;
  body: Buffer;
}

function rawRequest(_route: Route, { kept }: DeliveredPush): Parts {
  const { query = '{}', body = '', body_is: form, content_type: contentType = '' } = kept;
  return {
    query: JSON.parse(query) as Record<string, string>,
    contentType,
    body: Buffer.from(body, form === 'base64' ? 'base64' : 'utf8'),
  };
}

/** As WeChat would have sent it to a platform with this token and key. */
function sealedRequest(
  { token = '', encodingAesKey = '' }: Route,
  { kept, component }: DeliveredPush,
  now: number,
): Parts {
  const { message = '', format, openid = '', to = '', type } = kept;
  const encrypted = encryptMessage(encodingAesKey, component, message.toWellFormed());
  const timestamp = String(Math.floor(now / 1000));
  const nonce = randomBytes(8).toString('hex');
  const query = {
    signature: sign(token, timestamp, nonce, ''),
    timestamp,
    nonce,
    ...(openid === '' ? {} : { openid }),
    encrypt_type: 'aes',
    msg_signature: sign(token, timestamp, nonce, encrypted),
  };
  const [name, value] = type === 'event' ? ['AppId', component] : ['ToUserName', to];
  if (format === 'json') {
    const body = Buffer.from(JSON.stringify({ [name]: value, Encrypt: encrypted }));
    return { query, contentType: 'application/json', body };
  }
  const cdata = (text: string) => `<![CDATA[${text.replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
  const xml = `<xml><${name}>${cdata(value)}</${name}><Encrypt>${cdata(encrypted)}</Encrypt></xml>`;
  return { query, contentType: 'text/xml', body: Buffer.from(xml) };
}

function jsonRequest(_route: Route, { kept }: DeliveredPush): Parts {
  const body = Buffer.from(kept.json ?? '');
  return { query: {}, contentType: 'application/json', body };
}

function basic(username: string, password: string): string {
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

/**
 * Who sends, and when. The id is the same at each attempt, the time is that of the attempt.
 * Source: standardwebhooks.com, specification.
 */
function webhookHeaders(
  id: string,
  now: number,
  body: Buffer,
  secrets: readonly Buffer[],
): Record<string, string> {
  if (secrets.length === 0) return { 'webhook-id': id };
  const seconds = String(Math.floor(now / 1000));
  const signed = secrets.map((secret) => {
    const hmac = createHmac('sha256', secret).update(`${id}.${seconds}.`).update(body);
    return `v1,${hmac.digest('base64')}`;
  });
  return {
    'webhook-id': id,
    'webhook-timestamp': seconds,
    'webhook-signature': signed.join(' '),
  };
}
