import type { ComponentOptions } from './options.ts';
import { CONTENT_TYPES, documentOf, type PushFields } from './push-document.ts';
import { sealPush } from './push-message.ts';
import {
  faultOfEnds,
  faultOfField,
  faultOfTransport,
  isSilence,
  MAX_ANSWER_CHARS,
  openReply,
  type AskedMessage,
  type MessageAnswer,
} from './reply.ts';

/** A user's message to an account, sent the way WeChat sends it, and what the release check wants as its reply. */

/** Milliseconds until WeChat hangs up. */
export const ANSWER_LIMIT_MS = 5_000;

export interface UserMessage extends AskedMessage {
  component: ComponentOptions;
  /** Of the message & event URL, with the account's appid in its place. */
  url: string;
  /** Unix seconds. */
  createTime: number;
  /** Further elements of the inner document. */
  fields: PushFields;
  /** What it is declared as, if not as usual. */
  contentType?: string | undefined;
  /** Milliseconds for the answer. */
  limitMs: number;
}

interface TimedAnswer extends MessageAnswer {
  tookMs: number;
}

/** Sends a message, once. Never rejects for what the receiver does. */
export async function sendMessage(message: UserMessage): Promise<TimedAnswer> {
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
  if (isSilence(answer.body)) {
    return `the answer is "${answer.body}" and no reply: is this account known as a test account?`;
  }
  const reply = openReply(message, answer.body);
  if ('fault' in reply) return reply.fault;
  const fault =
    faultOfEnds(message, reply) ??
    faultOfField(reply, 'MsgType', 'text') ??
    faultOfField(reply, 'Content', content);
  if (fault !== undefined) return fault;
  const createTime = reply.text('CreateTime') ?? '';
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

function reasonOf(error: unknown, limitMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${limitMs} ms`;
  const { cause } = error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : error.message;
  return `no connection (${code}): is the instance running, and is this its address?`;
}
