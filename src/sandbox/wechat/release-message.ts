import { openEnvelope, sign } from '../../wechat/push/envelope.ts';
import type { ComponentOptions } from './options.ts';
import { CONTENT_TYPES, documentOf, type PushFields, type PushFormat } from './push-document.ts';
import { sealPush } from './push-message.ts';

/** A user's message to an account, sent the way WeChat sends it, and its reply, read strictly. */

/** Milliseconds until WeChat hangs up. */
export const ANSWER_LIMIT_MS = 5_000;
/** Longer than any reply of the check. */
const MAX_ANSWER_CHARS = 65_536;

export interface UserMessage {
  component: ComponentOptions;
  /** Of the message & event URL, with the account's appid in its place. */
  url: string;
  /** The account, `gh_…`. */
  to: string;
  /** The account's appid. */
  appid: string;
  /** The user's openid. */
  from: string;
  /** Unix seconds. */
  createTime: number;
  /** Further elements of the inner document. */
  fields: PushFields;
  /** Its form, in which the reply is awaited, too. */
  format: PushFormat;
  /** What it is declared as, if not as usual. */
  contentType?: string | undefined;
  /** Milliseconds for the answer. */
  limitMs: number;
}

export interface MessageAnswer {
  /** HTTP status; undefined when there was no answer. */
  status: number | undefined;
  body: string;
  tookMs: number;
  /** Why there is no answer, in words. */
  error?: string;
}

/** Sends a message, once. Never rejects for what the receiver does. */
export async function sendMessage(message: UserMessage): Promise<MessageAnswer> {
  const { component, to, from, createTime } = message;
  const { format, contentType = CONTENT_TYPES[format] } = message;
  const document = documentOf(format, {
    ToUserName: to,
    FromUserName: from,
    CreateTime: createTime,
    ...message.fields,
  });
  const how = { format, timestamp: createTime, openid: from };
  const { query, body: envelope } = sealPush(component, document, { ToUserName: to }, how);
  const url = new URL(message.url);
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const started = performance.now();
  const tookMs = (): number => Math.round(performance.now() - started);
  try {
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': contentType, connection: 'close' },
      body: envelope,
      signal: AbortSignal.timeout(message.limitMs),
    });
    const body = (await answer.text()).slice(0, MAX_ANSWER_CHARS);
    return { status: answer.status, body, tookMs: tookMs() };
  } catch (error) {
    return {
      status: undefined,
      body: '',
      tookMs: tookMs(),
      error: reasonOf(error, message.limitMs),
    };
  }
}

/**
 * What is wrong with the answer to a text or event that wants a text as its reply.
 * @returns undefined when WeChat would take it
 */
export function faultOfReply(
  message: UserMessage,
  answer: MessageAnswer,
  content: string,
): string | undefined {
  const useless = faultOfTransport(answer);
  if (useless !== undefined) return useless;
  if (answer.body === 'success' || answer.body === '') {
    return `the answer is "${answer.body}" and no reply: is this account known as a test account?`;
  }
  const { to, from } = message;
  const reply = openReply(message, answer.body);
  if ('fault' in reply) return reply.fault;
  const expected = { ToUserName: from, FromUserName: to, MsgType: 'text', Content: content };
  for (const [name, value] of Object.entries(expected)) {
    const found = reply.fields(name);
    if (found === value) continue;
    if (name === 'ToUserName' && found === to) {
      return 'ToUserName and FromUserName of the reply are not swapped';
    }
    return `${name} of the reply is ${found === undefined ? 'missing' : `"${found}"`}, not "${value}"`;
  }
  const createTime = reply.fields('CreateTime') ?? '';
  return /^\d{10}$/.test(createTime)
    ? undefined
    : `CreateTime of the reply is "${createTime}", not Unix seconds`;
}

/** What is wrong with an answer that must be empty. */
export function faultOfEmpty(answer: MessageAnswer): string | undefined {
  const useless = faultOfTransport(answer);
  if (useless !== undefined || answer.body === '') return useless;
  return `the answer is not empty but begins with "${answer.body.slice(0, 20)}"`;
}

function faultOfTransport({ status, error }: MessageAnswer): string | undefined {
  if (status === undefined) return error ?? 'no answer';
  if (status >= 300 && status < 400) return `the answer is a redirect (status ${status})`;
  return status === 200 ? undefined : `the answer has status ${status}, not 200`;
}

/** The text of a field; undefined without one, or when it has not the type it must have. */
type Fields = (name: string) => string | undefined;

/** Decrypts a reply with the keys of the component, and with nothing else. */
function openReply(
  { component, appid, to, format }: UserMessage,
  body: string,
): { fields: Fields } | { fault: string } {
  const outside = fieldsOf(format, body);
  if (outside === undefined) {
    const other = fieldsOf(format === 'json' ? 'xml' : 'json', body);
    const what = other === undefined ? 'no document' : 'in the other form';
    return { fault: `the reply is ${what}; it must be ${FORMAT_NAMES[format]}` };
  }
  const encrypt = outside('Encrypt');
  const signature = outside('MsgSignature');
  const timestamp = outside('TimeStamp');
  const nonce = outside('Nonce');
  if (encrypt === undefined || signature === undefined || !timestamp || nonce === undefined) {
    const plain = outside('Content') === undefined ? '' : ': it is not encrypted';
    const number = format === 'json' ? ' (a number)' : '';
    return { fault: `the reply lacks Encrypt, MsgSignature, TimeStamp${number} or Nonce${plain}` };
  }
  if (sign(component.token, timestamp, nonce, encrypt) !== signature) {
    return { fault: 'MsgSignature of the reply is wrong: compare the Token with the console' };
  }
  const open = (componentAppid: string): string | undefined => {
    try {
      const { token, encodingAesKey } = component;
      const secrets = { componentAppid, token, encodingAesKey };
      return openEnvelope(secrets, { timestamp, nonce, signature }, encrypt).message;
    } catch {
      return undefined;
    }
  };
  const opened = open(component.appid);
  if (opened !== undefined) {
    const fields = fieldsOf(format, opened);
    return fields === undefined
      ? { fault: `what is encrypted in the reply must be ${FORMAT_NAMES[format]}` }
      : { fields };
  }
  return (open(appid) ?? open(to)) === undefined
    ? { fault: 'the reply cannot be decrypted: compare the EncodingAESKey with the console' }
    : { fault: "the reply is encrypted with the account's id; it must be the component's appid" };
}

const FORMAT_NAMES: Readonly<Record<PushFormat, string>> = {
  xml: 'XML, as the message was',
  json: 'JSON, as the message was',
};
/** In JSON the times are numbers, and all else is text. */
const TIMES = new Set(['TimeStamp', 'CreateTime']);

/** Reads a document; undefined when it is none of this form. */
function fieldsOf(format: PushFormat, document: string): Fields | undefined {
  if (format === 'xml') {
    return document.startsWith('<') ? (name) => elementOf(document, name) : undefined;
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(document);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const members = new Map<string, unknown>(Object.entries(parsed));
  return (name) => {
    const value = members.get(name);
    const fits = typeof value === (TIMES.has(name) ? 'number' : 'string');
    return fits ? String(value) : undefined;
  };
}

/** The text of an element that occurs exactly once. */
function elementOf(xml: string, name: string): string | undefined {
  const found = [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))];
  if (found.length !== 1) return undefined;
  return found[0]?.[1]?.replace(/<!\[CDATA\[(.*?)\]\]>/gs, '$1');
}

function reasonOf(error: unknown, limitMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${limitMs} ms`;
  const { cause } = error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : error.message;
  return `no connection (${code}): is the instance running, and is this its address?`;
}
