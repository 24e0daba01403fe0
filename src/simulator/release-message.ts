import { randomInt } from 'node:crypto';
import { encryptMessage, openEnvelope, sign } from '../wechat/envelope.ts';
import type { ComponentOptions } from './options.ts';

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
  fields: Readonly<Record<string, string>>;
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
  const xml = `<xml>${elements({
    ToUserName: to,
    FromUserName: from,
    CreateTime: String(createTime),
    ...message.fields,
  })}</xml>`;
  const encrypted = encryptMessage(component.encodingAesKey, component.appid, xml);
  const url = new URL(message.url);
  const [timestamp, nonce] = [String(createTime), String(randomInt(100_000_000, 2_000_000_000))];
  const query = {
    signature: sign(component.token, timestamp, nonce, ''),
    timestamp,
    nonce,
    openid: from,
    encrypt_type: 'aes',
    msg_signature: sign(component.token, timestamp, nonce, encrypted),
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const started = performance.now();
  const tookMs = (): number => Math.round(performance.now() - started);
  try {
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'text/xml', connection: 'close' },
      body: `<xml>${elements({ ToUserName: to, Encrypt: encrypted })}</xml>`,
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
    const found = elementOf(reply.xml, name);
    if (found === value) continue;
    if (name === 'ToUserName' && found === to) {
      return 'ToUserName and FromUserName of the reply are not swapped';
    }
    return `${name} of the reply is ${found === undefined ? 'missing' : `"${found}"`}, not "${value}"`;
  }
  const createTime = elementOf(reply.xml, 'CreateTime') ?? '';
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

/** Decrypts a reply with the keys of the component, and with nothing else. */
function openReply(
  { component, appid, to }: UserMessage,
  body: string,
): { xml: string } | { fault: string } {
  const [encrypt, signature, timestamp, nonce] = [
    'Encrypt',
    'MsgSignature',
    'TimeStamp',
    'Nonce',
  ].map((name) => elementOf(body, name));
  if (encrypt === undefined || signature === undefined || !timestamp || nonce === undefined) {
    const plain = elementOf(body, 'Content') === undefined ? '' : ': it is not encrypted';
    return { fault: `the reply lacks Encrypt, MsgSignature, TimeStamp or Nonce${plain}` };
  }
  if (sign(component.token, timestamp, nonce, encrypt) !== signature) {
    return { fault: 'MsgSignature of the reply is wrong: compare the Token with the console' };
  }
  const open = (componentAppid: string): { xml: string } | undefined => {
    try {
      const { token, encodingAesKey } = component;
      const secrets = { componentAppid, token, encodingAesKey };
      return { xml: openEnvelope(secrets, { timestamp, nonce, signature }, encrypt).message };
    } catch {
      return undefined;
    }
  };
  const opened = open(component.appid);
  if (opened !== undefined) return opened;
  return (open(appid) ?? open(to)) === undefined
    ? { fault: 'the reply cannot be decrypted: compare the EncodingAESKey with the console' }
    : { fault: "the reply is encrypted with the account's id; it must be the component's appid" };
}

/** The text of an element that occurs exactly once. */
function elementOf(xml: string, name: string): string | undefined {
  const found = [...xml.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'gs'))];
  if (found.length !== 1) return undefined;
  return found[0]?.[1]?.replace(/<!\[CDATA\[(.*?)\]\]>/gs, '$1');
}

function elements(fields: Readonly<Record<string, string>>): string {
  return Object.entries(fields)
    .map(([name, value]) => `<${name}><![CDATA[${value}]]></${name}>`)
    .join('\n');
}

function reasonOf(error: unknown, limitMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${limitMs} ms`;
  const { cause } = error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : error.message;
  return `no connection (${code}): is the instance running, and is this its address?`;
}
