import { XMLParser } from 'fast-xml-parser';
import { SyntaxValidator } from 'fast-xml-validator';
import { openEnvelope, sign } from '../../wechat/push/envelope.ts';
import type { PushFormat } from './push-document.ts';

/** The reply to a user's message, opened with the platform's key and with nothing else, read strictly. */

/** Of an answer: longer than any reply. */
export const MAX_ANSWER_CHARS = 65_536;

/** A user's message, as far as its reply must fit to it. */
export interface AskedMessage {
  /** With what the message was signed and encrypted. */
  component: { appid: string; token: string; encodingAesKey: string };
  /** The account's appid. */
  appid: string;
  /** The account, `gh_…`. */
  to: string;
  /** The user's openid. */
  from: string;
  /** Its form, in which the reply is awaited, too. */
  format: PushFormat;
  /** The form of what is encrypted, if that is another one. */
  inside?: PushFormat | undefined;
}

/** What came over HTTP. */
export interface MessageAnswer {
  /** HTTP status; undefined when there was no answer. */
  status: number | undefined;
  body: string;
  /** Why there is no answer, in words. */
  error?: string | undefined;
}

/** The decrypted document of a reply. */
export interface OpenedReply {
  /** All of it. */
  members: Members;
  /** The text of a field; undefined without one, or when it has not the type it must have. */
  text: (name: string) => string | undefined;
}

type Members = Readonly<Record<string, unknown>>;

export function faultOfTransport({ status, error }: MessageAnswer): string | undefined {
  if (status === undefined) return error ?? 'no answer';
  if (status >= 300 && status < 400) return `the answer is a redirect (status ${status})`;
  return status === 200 ? undefined : `the answer has status ${status}, not 200`;
}

/** What says that there is no reply. */
export function isSilence(body: string): boolean {
  return body === 'success' || body === '';
}

export function openReply(message: AskedMessage, body: string): OpenedReply | { fault: string } {
  const { component, appid, to, format, inside = format } = message;
  const outside = readDocument(format, body);
  if (outside === undefined) {
    const other = readDocument(format === 'json' ? 'xml' : 'json', body);
    const what = other === undefined ? 'no document' : 'in the other form';
    return { fault: `the reply is ${what}; it must be ${FORMAT_NAMES[format]}` };
  }
  const encrypt = outside.text('Encrypt');
  const signature = outside.text('MsgSignature');
  const timestamp = outside.text('TimeStamp');
  const nonce = outside.text('Nonce');
  if (encrypt === undefined || signature === undefined || !timestamp || nonce === undefined) {
    const isPlain = ['Content', 'MsgType'].some((name) => outside.text(name) !== undefined);
    const plain = isPlain ? ': it is not encrypted' : '';
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
    const document = readDocument(inside, opened);
    return document ?? { fault: `what is encrypted in the reply must be ${FORMAT_NAMES[inside]}` };
  }
  return (open(appid) ?? open(to)) === undefined
    ? { fault: 'the reply cannot be decrypted: compare the EncodingAESKey with the console' }
    : { fault: "the reply is encrypted with the account's id; it must be the component's appid" };
}

/** It must go to the user, from the account. */
export function faultOfEnds({ to, from }: AskedMessage, reply: OpenedReply): string | undefined {
  if (reply.text('ToUserName') === to && to !== from) {
    return 'ToUserName and FromUserName of the reply are not swapped';
  }
  return faultOfField(reply, 'ToUserName', from) ?? faultOfField(reply, 'FromUserName', to);
}

/** What is wrong with a field that must have this value. */
export function faultOfField(reply: OpenedReply, name: string, value: string): string | undefined {
  const found = reply.text(name);
  if (found === value) return undefined;
  return `${name} of the reply is ${found === undefined ? 'missing' : `"${found}"`}, not "${value}"`;
}

const FORMAT_NAMES: Readonly<Record<PushFormat, string>> = {
  xml: 'XML, as the message was',
  json: 'JSON, as the message was',
};
/** In JSON the times are numbers, and all else is text. */
const TIMES = new Set(['TimeStamp', 'CreateTime']);

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false,
  // A blank too much is one.
  trimValues: false,
});

/** Reads a document; undefined when it is none of this form. */
function readDocument(format: PushFormat, document: string): OpenedReply | undefined {
  const members = format === 'xml' ? membersOfXml(document) : membersOfJson(document);
  if (members === undefined) return undefined;
  return {
    members,
    text(name) {
      const value = Object.hasOwn(members, name) ? members[name] : undefined;
      const type = format === 'json' && TIMES.has(name) ? 'number' : 'string';
      return typeof value === type ? String(value) : undefined;
    },
  };
}

function membersOfJson(document: string): Members | undefined {
  try {
    return asMembers(JSON.parse(document));
  } catch {
    return undefined;
  }
}

function membersOfXml(document: string): Members | undefined {
  if (!document.startsWith('<')) return undefined;
  try {
    SyntaxValidator.validate(document);
    return asMembers((parser.parse(document) as Members)['xml']);
  } catch {
    return undefined;
  }
}

function asMembers(value: unknown): Members | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return value as Members;
}
