import fc from 'fast-check';
import { AUTHORIZER, COMPONENT } from '../kit/platform.ts';
import { encryptByHand, wrapPush } from '../kit/push-envelope.ts';

/** Pushes that are rightly signed, and odd in every other way that was ever seen or thought of. */
export interface OddPush {
  kind: 'message' | 'event' | 'authorized' | 'ticket';
  /** In the order of the document; `\uE000` stands for bytes that are no UTF-8. */
  fields: readonly (readonly [name: string, value: string])[];
  inner: 'xml' | 'json';
  outer: 'xml' | 'json';
  /** How the texts of an XML document are written. */
  writing: 'cdata' | 'escaped' | 'bare';
  /** What takes the place of the document's end. */
  ending: string;
  brokenBytes: readonly number[];
  encryptType: string | undefined;
  /** After the first delivery: the same bytes, or encrypted anew. */
  again: readonly ('same' | 'anew')[];
  /** Sent at the same moment. */
  together: boolean;
  /** What must come of it, besides one entry. */
  effect: 'code' | 'ticket' | undefined;
}

export interface SealedDelivery {
  query: Record<string, string>;
  body: Buffer;
}

/** Stands for the number of the case wherever a text must be unlike all others. */
export const MARK = '\uE001';
/** Stands for the time, Unix seconds. */
export const TIME = '\uE002';
const BROKEN = '\uE000';

const FORGED = '<Event>forged</Event><InfoType>unauthorized</InfoType>';
const typed = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.replace(/[\uE000-\uE002]/g, '')),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.constantFrom(
    ...['', ' ', '\x1D0110', 'a\0b', 'a\x08', '\x10\x14', '\uFFFE', 'I <3 you', 'a & b', '&nbsp;'],
    ...[
      '&#x1D;',
      '&#xD83D;',
      '&lt;',
      ']]>',
      'a]]>b',
      ']]> <Event>x</Event>',
      '<b>',
      '</b>',
      '<!--',
    ],
    ...[
      '<![CDATA[',
      '"',
      '\\',
      '\\"',
      '}',
      '{"a":',
      '\u2028',
      '00123',
      '1e3',
      '\r\n',
      '<!DOCTYPE x',
    ],
    ...[BROKEN, `a${BROKEN}b`, `queryauthcode@@@${BROKEN}`, `see ticket@@@${MARK}`],
  ),
);
/** With these the rest of a document may be a sender's, so that it is stored and nothing else. */
const injected = fc.constantFrom(
  `]]></Note>${FORGED}<Note><![CDATA[`,
  `]]></Note>${FORGED}<X><Note><![CDATA[`,
  `]]></Note></xml>${FORGED}`,
);

const time = fc.oneof(
  { weight: 4, arbitrary: fc.constant(TIME) },
  fc.constantFrom('', '0', '1', ' ', `${TIME}000`, ` ${TIME} `, '2026-11-21', 'null', '-1', '1e9'),
  fc.constantFrom('9999999999', '99999999999999999999', '01'),
);
const code = `queryauthcode@@@${MARK}`;
const byKind: Record<OddPush['kind'], (createTime: string, id: string) => OddPush['fields']> = {
  message: (createTime, id) => [
    ['ToUserName', 'gh_1'],
    ['FromUserName', 'o1'],
    ['CreateTime', createTime],
    ['MsgType', 'text'],
    ['MsgId', id],
  ],
  event: (createTime) => [
    ['AppId', COMPONENT.appid],
    ['CreateTime', createTime],
    ['InfoType', 'something_new'],
  ],
  authorized: (createTime) => [
    ['AppId', COMPONENT.appid],
    ['CreateTime', createTime],
    ['InfoType', 'authorized'],
    ['AuthorizerAppid', AUTHORIZER],
    ['AuthorizationCode', code],
    ['PreAuthCode', 'preauthcode@@@1'],
  ],
  ticket: (createTime) => [
    ['AppId', COMPONENT.appid],
    ['CreateTime', createTime],
    ['InfoType', 'component_verify_ticket'],
    ['ComponentVerifyTicket', `ticket@@@${MARK}`],
  ],
};
const EFFECTS = {
  message: undefined,
  event: undefined,
  authorized: 'code',
  ticket: 'ticket',
} as const;
const NEEDED = ['InfoType', 'AuthorizerAppid', 'AuthorizationCode', 'ComponentVerifyTicket'];

export const oddPush: fc.Arbitrary<OddPush> = fc
  .record({
    kind: fc.constantFrom('message', 'event', 'authorized', 'ticket'),
    createTime: time,
    id: fc.constantFrom('', '0', MARK, `9007199254740993${MARK}`, 'x'),
    note: fc.oneof({ weight: 8, arbitrary: typed }, injected),
    fault: fc.constantFrom('none', 'none', 'none', 'drop', 'repeat', 'repeat_note'),
    at: fc.nat(5),
    inner: fc.constantFrom('xml', 'xml', 'json'),
    outer: fc.constantFrom('xml', 'xml', 'json'),
    writing: fc.constantFrom('cdata', 'cdata', 'escaped', 'bare'),
    ending: fc.constantFrom(
      '</xml>',
      '</xml>',
      '</xml>',
      '',
      '<xml>',
      '</xm',
      'junk',
      '</a></xml>',
    ),
    brokenBytes: fc.constantFrom([0xff], [0xf0, 0x9f], [0xed, 0xa0, 0xbd], [0xc0, 0xaf]),
    encryptType: fc.constantFrom('aes', 'aes', '', undefined),
    again: fc.array(fc.constantFrom('same', 'anew'), { maxLength: 2 }),
    together: fc.boolean(),
  })
  .map(({ createTime, id, note, fault, at, ...rest }): OddPush => {
    const base = [...byKind[rest.kind](createTime, id)];
    const index = at % base.length;
    const chosen = base[index] ?? ['', ''];
    if (fault === 'drop') base.splice(index, 1);
    if (fault === 'repeat') base.push(chosen);
    const notes: OddPush['fields'] = [['Note', note]];
    const fields = [...base, ['Mark', `case ${MARK};`] as const, ...notes];
    if (fault === 'repeat_note') fields.push(...notes);
    const spoiled =
      (['repeat', 'drop'].includes(fault) && NEEDED.includes(chosen[0])) || note.includes(FORGED);
    return { ...rest, fields, effect: spoiled ? undefined : EFFECTS[rest.kind] };
  })
  // A message without both would be none that WeChat sends to the other URL.
  .filter(({ kind, fields }) => kind !== 'message' || fields.some(([name]) => name === 'MsgType'));

/** Its deliveries, in their order. @param now Unix seconds */
export function sealDeliveries(push: OddPush, mark: string, now: number): SealedDelivery[] {
  const filled = (text: string) => text.replaceAll(MARK, mark).replaceAll(TIME, String(now));
  const text = filled(push.inner === 'json' ? jsonOf(push) : xmlOf(push)).toWellFormed();
  const [first = '', ...more] = text.split(BROKEN);
  const bytes = Buffer.concat([
    Buffer.from(first),
    ...more.flatMap((part) => [Buffer.from(push.brokenBytes), Buffer.from(part)]),
  ]);
  return ['first', ...push.again].map((way, index) => {
    const random = way === 'anew' ? `${index}fedcba987654321` : '0123456789abcdef';
    // Letters, so that no nonce can be read as a time.
    const { query, encrypt } = wrapPush(encryptByHand(bytes, { random }), {
      timestamp: now,
      nonce: way === 'anew' ? `again${index}` : 'first',
    });
    if (push.encryptType === undefined) delete query.encrypt_type;
    else query.encrypt_type = push.encryptType;
    return { query, body: Buffer.from(outerOf(push.outer, encrypt)) };
  });
}

function outerOf(form: OddPush['outer'], encrypt: string): string {
  if (form === 'json') return JSON.stringify({ ToUserName: 'gh_1', Encrypt: encrypt });
  return `<xml><Note>&nbsp;\x1D</Note><Encrypt>\n<![CDATA[${encrypt}\n]]></Encrypt></xml>`;
}

function xmlOf({ fields, writing, ending }: OddPush): string {
  const written = (value: string) => {
    if (writing === 'cdata') return `<![CDATA[${value}]]>`;
    if (writing === 'bare') return value;
    return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  };
  const elements = fields.map(([name, value]) => {
    // Nobody types into the others.
    const inside = name === 'Note' ? written(value) : `<![CDATA[${value}]]>`;
    return `<${name}>${inside}</${name}>`;
  });
  return `<xml>${elements.join('\n')}${ending}`;
}

function jsonOf({ fields, ending }: OddPush): string {
  const members = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  // A number where there is one, as WeChat writes it; a control character where it was typed.
  const text = members
    .join(',')
    .replace(/"(\d{1,19})"(?=,|$)/g, '$1')
    .replace(/\\u001d/g, '\x1D');
  return `{${text}${ending.startsWith('</xml>') ? '}' : ending}`;
}
