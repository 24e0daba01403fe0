import { MASK, WECHAT_PREFIX } from '../../lib/log.ts';
import type { EventFields } from '../../store/tickets/push.ts';
import { textOf, type PushValue } from '../../wechat/push/push-fields.ts';
import type { OpenedPush } from './handler.ts';

/**
 * The stream entry of a push, as consumer groups read it: flat texts, and all fields as JSON in
 * `fields`. The flat texts are made of what may be acted on; `fields` has all that was sent.
 *
 * Whoever reads the stream must not be able to act as the platform. So tickets, codes and tokens are
 * taken out here, of every push and at every depth: fields by their names, texts by the shape of such
 * values, wherever they stand.
 */

/** Letters: no name of WeChat's is longer, and a column is no place for more. */
const MAX_COLUMN = 256;
/** Small letters without anything in between: `auth_code` and `AuthCode` are one name. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  ...['componentverifyticket', 'authorizationcode', 'preauthcode', 'authcode', 'queryauthcode'],
  ...['accesstoken', 'componentaccesstoken', 'authorizeraccesstoken'],
  ...['refreshtoken', 'authorizerrefreshtoken', 'componentappsecret', 'appsecret'],
]);
/** Any of the following has one of these: most texts have none, and are looked at once. */
const SUSPECT = /@@@|%40%40%40|query_auth_code/i;
/** A value as WeChat makes it. */
const SECRET_SHAPE = new RegExp(`${WECHAT_PREFIX}[!#-%(-;=-~]+`, 'gi');
/** The code that the release check writes to us, whatever its shape. */
const CHECKED_CODE = /(QUERY_AUTH_CODE:\s*)[!#-%(-;=-~]+/gi;
/** In what is no whole document, one of the names and what follows it, entities and split CDATA as well. */
const SECRET_PAIR = new RegExp(
  '((?:component[_-]?verify[_-]?ticket|authorization[_-]?code|auth[_-]?code|access[_-]?token' +
    '|refresh[_-]?token|app[_-]?secret)["\']?\\s*[>:=]\\s*(?:(?:<!\\[CDATA\\[|["\'])\\s*)?)' +
    '(?:&#?\\w+;|]]>\\s*<!\\[CDATA\\[|[^\\s<\\]"\'&,}])+',
  'gi',
);

export function eventEntry(push: Omit<OpenedPush, 'plan'>): EventFields {
  const { fields, content, raw, odd, componentAppid, requestId, receivedAt } = push;
  const clean = raw === undefined ? cleanText : cleanPairs;
  const column = (name: string) =>
    clean(textOf(fields, name) ?? '')
      .slice(0, MAX_COLUMN)
      .toWellFormed();
  return {
    id: requestId,
    component_appid: componentAppid,
    authorizer_appid: column('AuthorizerAppid') || column('authorizer_appid'),
    info_type: column('InfoType'),
    msg_type: column('MsgType'),
    event: column('Event'),
    create_time: column('CreateTime'),
    received_at: new Date(receivedAt).toISOString(),
    fields: JSON.stringify(withoutSecrets(content, clean)),
    ...(odd.length === 0 ? {} : { odd: odd.join(',') }),
    ...(raw === undefined ? {} : { raw: clean(raw) }),
  };
}

function cleanText(text: string): string {
  if (!SUSPECT.test(text)) return text;
  return text.replace(SECRET_SHAPE, MASK).replace(CHECKED_CODE, `$1${MASK}`);
}

function cleanPairs(text: string): string {
  return cleanText(text.replace(SECRET_PAIR, `$1${MASK}`));
}

function withoutSecrets(value: PushValue, clean: (text: string) => string): PushValue {
  if (typeof value === 'string') return clean(value);
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(one, clean));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !SECRET_NAMES.has(name.toLowerCase().replace(/[^a-z]/g, '')))
      .map(([name, one]) => [cleanText(name), withoutSecrets(one, clean)]),
  );
}
