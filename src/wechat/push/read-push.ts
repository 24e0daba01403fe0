import {
  gather,
  textOf,
  type PushFields,
  type PushValue,
  type ReadDocument,
} from './push-fields.ts';
import { readJson } from './push-json.ts';
import { readXml } from './push-xml.ts';

/**
 * What is in a push that is trusted already. Nothing is refused here for its form: what cannot be read
 * is given back as it is, and what is odd is noted.
 *
 * A sender whose text WeChat wrapped carelessly could write fields. Whatever they write stands behind
 * the beginning of the field that they type into, and what WeChat wrote after it is still there. So
 * a name that occurs again spans what may be theirs, and where parts do not fit together only the fields
 * that come before the first one that people can type into are believed. `content` has all of it.
 */

/** What may be odd about a push, as its entry in the stream says. */
export type Oddity =
  /** A field occurs more than once: what stands between the occurrences does not count. */
  | 'repeated_fields'
  /** It breaks off, or its parts do not fit together. */
  | 'broken_markup'
  /** Neither XML nor JSON. */
  | 'unreadable'
  /** Bytes that are no UTF-8 became U+FFFD. */
  | 'broken_utf8'
  | 'control_characters'
  /** It names another account than its URL. */
  | 'another_account';

export interface ReadPush {
  /** What may be acted on. */
  fields: PushFields;
  /** All that was sent. */
  content: PushFields;
  /** The form of the text, in which a reply is expected. */
  format: 'xml' | 'json';
  odd: readonly Oddity[];
  /** The text itself, unless all of it is in `content`. */
  raw: string | undefined;
}

/** Nobody can type into these: WeChat alone writes them. */
const WRITTEN_BY_WECHAT: ReadonlySet<string> = new Set([
  ...['AppId', 'CreateTime', 'InfoType', 'ComponentVerifyTicket', 'AuthorizerAppid'],
  ...['AuthorizationCode', 'AuthorizationCodeExpiredTime', 'PreAuthCode'],
  ...['ToUserName', 'FromUserName', 'MsgType', 'Event', 'MsgId'],
]);
export const CONTROL = /[\0-\x08\v\f\x0E-\x1F\x7F\uFFFE\uFFFF]/;

/**
 * @param text what was decrypted
 * @param options.typed people have typed parts of it, who might imitate what is nested, too
 */
export function readPush(text: string, options: { typed: boolean }): ReadPush {
  const isJson = /^[\s\uFEFF]*\{/.test(text);
  const json = isJson ? readJson(text) : undefined;
  const document = json ?? readXml(text);
  const odd: Oddity[] = CONTROL.test(text) ? ['control_characters'] : [];
  const format = isJson ? 'json' : 'xml';
  if (document === undefined) {
    return { fields: {}, content: {}, format, odd: ['unreadable', ...odd], raw: text };
  }
  const content = gather(document.entries);
  const fields = believable(document, content, options.typed);
  if (!document.whole) odd.unshift('broken_markup');
  const repeated = Object.keys(content).length < document.entries.length;
  if (repeated || (document.tornAt === undefined && lost(content, fields)))
    odd.unshift('repeated_fields');
  return { fields, content, format, odd, raw: document.tornAt === undefined ? undefined : text };
}

/** Something that decides is not believed although it came once. */
function lost(content: PushFields, fields: PushFields): boolean {
  const names = [...WRITTEN_BY_WECHAT];
  return names.some((name) => textOf(content, name) !== undefined && !Object.hasOwn(fields, name));
}

/** The fields that no sender can have written. */
function believable(document: ReadDocument, content: PushFields, typed: boolean): PushFields {
  const { entries, mentions, tornAt } = document;
  const first = new Map<string, number>();
  const last = new Map<string, number>();
  for (const [index, [name]] of entries.entries()) {
    if (!first.has(name)) first.set(name, index);
    last.set(name, index);
  }
  // How many spans begin at an entry, less those that have ended before it.
  const spans = new Array<number>(entries.length + 1).fill(0);
  for (const [name, own] of first) {
    // A sender begins in a field of theirs. In a message they may be anybody, so all names count.
    if (!typed && WRITTEN_BY_WECHAT.has(name)) continue;
    const places = typed ? (mentions.get(name) ?? []) : [];
    const from = Math.min(own, places[0] ?? own);
    const to = Math.max(last.get(name) ?? own, places.at(-1) ?? own);
    if (from === to) continue;
    spans[from] = (spans[from] ?? 0) + 1;
    spans[to + 1] = (spans[to + 1] ?? 0) - 1;
  }
  let open = 0;
  let written = true;
  const kept = entries.filter(([name], index) => {
    open += spans[index] ?? 0;
    written &&= WRITTEN_BY_WECHAT.has(name) && index < (tornAt ?? index + 1);
    // A list decides nothing, and some notices are made of one.
    const isList = first.get(name) !== last.get(name);
    return (open === 0 || isList) && (written || tornAt === undefined);
  });
  return Object.fromEntries(kept.map(([name]) => [name, decisive(name, content[name] ?? '')]));
}

/** White space around what WeChat alone writes is layout, in CDATA and in JSON as well. */
export function decisive<Value extends PushValue>(name: string, value: Value): Value | string {
  return typeof value === 'string' && WRITTEN_BY_WECHAT.has(name) ? value.trim() : value;
}
