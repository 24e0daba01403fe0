import { WECHAT_PREFIX } from '../../log.ts';
import type { EventFields } from '../../store/events.ts';
import { textOf, type PushValue } from '../../wechat/push-fields.ts';
import type { OpenedPush } from './handler.ts';

/**
 * The stream entry of a push, as consumer groups read it: flat texts, and all fields as JSON in
 * `fields`. The flat texts are made of what may be acted on; `fields` has all that was sent.
 *
 * Whoever reads the stream must not be able to act as the platform. So tickets, codes and tokens are
 * taken out here, of every push and at every depth: fields by their names, texts by the shape of such
 * values, wherever they stand.
 */

const MASK = '[secret]';
/** Letters: no name of WeChat's is longer, and a column is no place for more. */
const MAX_COLUMN = 256;
/** Small letters without anything in between: `auth_code` and `AuthCode` are one name. */
const SECRET_NAMES: ReadonlySet<string> = new Set([
  ...['componentverifyticket', 'authorizationcode', 'preauthcode', 'authcode', 'queryauthcode'],
  ...['accesstoken', 'componentaccesstoken', 'authorizeraccesstoken'],
  ...['refreshtoken', 'authorizerrefreshtoken', 'componentappsecret', 'appsecret'],
]);
/** A value as WeChat makes it, and the code that the release check writes to us. */
const SECRET_TEXT = new RegExp(
  `${WECHAT_PREFIX}[!#-%(-;=-~]+|(?<=QUERY_AUTH_CODE:\\s*)[!#-%(-;=-~]+`,
  'gi',
);
/** In text that is no document, a name of the above and what follows it. */
const SECRET_PAIR = new RegExp(
  '((?:component_?verify_?ticket|authorization_?code|auth_?code|access_?token|refresh_?token' +
    '|app_?secret)["\']?\\s*[>:=]\\s*(?:<!\\[CDATA\\[|["\'])?)[^\\s<\\]"\'&,}]+',
  'gi',
);

export function eventEntry(push: OpenedPush): EventFields {
  const { fields, content, raw, odd, componentAppid, requestId, receivedAt } = push;
  const column = (name: string) => withoutSecrets(textOf(fields, name) ?? '').slice(0, MAX_COLUMN);
  return {
    id: requestId,
    component_appid: componentAppid,
    authorizer_appid: column('AuthorizerAppid') || column('authorizer_appid'),
    info_type: column('InfoType'),
    msg_type: column('MsgType'),
    event: column('Event'),
    create_time: column('CreateTime'),
    received_at: new Date(receivedAt).toISOString(),
    fields: JSON.stringify(withoutSecrets(content)),
    ...(odd.length === 0 ? {} : { odd: odd.join(',') }),
    ...(raw === undefined ? {} : { raw: withoutSecrets(raw.replace(SECRET_PAIR, `$1${MASK}`)) }),
  };
}

function withoutSecrets(value: string): string;
function withoutSecrets(value: PushValue): PushValue;
function withoutSecrets(value: PushValue): PushValue {
  if (typeof value === 'string') return value.replace(SECRET_TEXT, MASK);
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(one));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !SECRET_NAMES.has(name.toLowerCase().replace(/[^a-z]/g, '')))
      .map(([name, one]) => [withoutSecrets(name), withoutSecrets(one)]),
  );
}
