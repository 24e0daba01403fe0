import {
  faultOfEnds,
  faultOfTransport,
  isSilence,
  openReply,
  type AskedMessage,
  type MessageAnswer,
  type OpenedReply,
} from './reply.ts';

/** What a user sees of the answer to a message. */
export interface UserView {
  /** `nothing`, `error`, or the MsgType of the reply. */
  sees: string;
  /** Of a text, and the notice that stands for an error. */
  text?: string;
  /** Of any other reply, by WeChat's names. */
  fields?: Readonly<Record<string, unknown>>;
  /** Why it is an error, for the developer. */
  reason?: string;
}

/** Source: developers.weixin.qq.com, Passive_user_reply_message; the words are those of the app. */
const NOTICE = '该公众号提供的服务出现故障，请稍后再试';

/** What a reply of each type must have. Source: the same. */
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  text: ['Content'],
  image: ['Image', 'MediaId'],
  voice: ['Voice', 'MediaId'],
  video: ['Video', 'MediaId'],
  music: ['Music', 'ThumbMediaId'],
  news: ['Articles', 'item'],
  transfer_customer_service: [],
};

/** What WeChat reads itself. */
const ENDS = new Set(['ToUserName', 'FromUserName', 'CreateTime', 'MsgType']);

export function viewOf(message: AskedMessage, answer: MessageAnswer): UserView {
  const useless = faultOfTransport(answer);
  if (useless !== undefined) return error(useless);
  if (isSilence(answer.body)) return { sees: 'nothing' };
  const reply = openReply(message, answer.body);
  if ('fault' in reply) return error(reply.fault);
  const fault = faultOfEnds(message, reply) ?? faultOfContent(reply);
  return fault === undefined ? contentOf(reply) : error(fault);
}

function error(reason: string): UserView {
  return { sees: 'error', text: NOTICE, reason };
}

function faultOfContent({ members, text }: OpenedReply): string | undefined {
  const type = text('MsgType') ?? '';
  const path = Object.hasOwn(NEEDED, type) ? NEEDED[type] : undefined;
  if (path === undefined) return `MsgType of the reply is "${type}", which no reply can have`;
  let value: unknown = members;
  for (const name of path) value = (value as Readonly<Record<string, unknown>> | undefined)?.[name];
  const isThere = typeof value === 'string' ? value.trim() !== '' : typeof value === 'object';
  return isThere ? undefined : `${path.join('.')} of the reply is missing or empty`;
}

function contentOf({ members, text }: OpenedReply): UserView {
  const sees = text('MsgType') ?? '';
  if (sees === 'text') return { sees, text: text('Content') ?? '' };
  const content = Object.entries(members).filter(([name]) => !ENDS.has(name));
  return { sees, fields: Object.fromEntries(content) };
}
