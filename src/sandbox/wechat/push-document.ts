/**
 * The two forms that pushes come in: a console offers XML and, for mini-programs, JSON. In JSON, what
 * is encrypted is JSON as well.
 * Source: developers.weixin.qq.com, miniprogram/dev/framework/server-ability/message-push.
 */

export const PUSH_FORMATS = ['xml', 'json'] as const;
export type PushFormat = (typeof PUSH_FORMATS)[number];

/** What pushes of a form are declared as. */
export const CONTENT_TYPES: Readonly<Record<PushFormat, string>> = {
  xml: 'text/xml',
  json: 'application/json',
};

/** Elements of a document. In XML texts are wrapped in CDATA, numbers are not; fields may nest. */
export interface PushFields {
  readonly [name: string]: string | number | PushFields;
}

/**
 * What WeChat's JSON has without quotes. Given as a text, such a value is written exactly as it is:
 * a MsgId has more digits than a JavaScript number holds.
 */
const NUMBERS = new Set([
  ...['CreateTime', 'MsgId', 'MsgDataId', 'Idx'],
  ...['Latitude', 'Longitude', 'Precision', 'Location_X', 'Location_Y', 'Scale'],
]);
const JSON_NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

export function documentOf(format: PushFormat, fields: PushFields): string {
  return format === 'json' ? jsonOf(fields) : `<xml>${linesOf(fields)}\n</xml>`;
}

/** What is posted: the same in one line. */
export function envelopeOf(format: PushFormat, fields: PushFields): string {
  return format === 'json' ? jsonOf(fields) : `<xml>${linesOf(fields, '')}</xml>`;
}

/** Told apart by the first character: a document of our own making has no blanks before it. */
export function formatOf(document: string): PushFormat | undefined {
  if (document.startsWith('<')) return 'xml';
  return document.startsWith('{') ? 'json' : undefined;
}

/** The text of a field of a document that we or a test wrote: this is for the ledger only. */
export function fieldOf(document: string, name: string): string | undefined {
  const pattern =
    formatOf(document) === 'json'
      ? new RegExp(`"${name}"\\s*:\\s*"?([^",}]*)`)
      : new RegExp(`<${name}>(?:<!\\[CDATA\\[)?([^<\\]]*)`);
  return pattern.exec(document)?.[1];
}

function jsonOf(fields: PushFields): string {
  const members = Object.entries(fields).map(
    ([name, value]) => `${JSON.stringify(name)}:${jsonValue(name, value)}`,
  );
  return `{${members.join(',')}}`;
}

function jsonValue(name: string, value: PushFields[string]): string {
  if (typeof value === 'object') return jsonOf(value);
  if (typeof value === 'number') return String(value);
  return NUMBERS.has(name) && JSON_NUMBER.test(value) ? value : JSON.stringify(value);
}

function linesOf(fields: PushFields, between = '\n'): string {
  return Object.entries(fields)
    .map(([name, value]) => `<${name}>${xmlValue(value)}</${name}>`)
    .join(between);
}

function xmlValue(value: PushFields[string]): string {
  if (typeof value === 'object') return linesOf(value);
  return typeof value === 'number' ? String(value) : cdata(value);
}

function cdata(text: string): string {
  return `<![CDATA[${text.replaceAll(']]>', ']]]]><![CDATA[>')}]]>`;
}
