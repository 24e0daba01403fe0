import * as z from 'zod';
import type { Route } from '../config/routes.ts';
import {
  openEnvelope,
  type EnvelopeSecrets,
  type OpenedEnvelope,
} from '../wechat/push/envelope.ts';
import { cleanText, replyDocument, type ReplyMessage } from '../wechat/push/reply.ts';
import type { TargetAnswer } from './target-client.ts';

/** What a target's answer says to the user. */
export type UserReply =
  /** Nothing: WeChat is told `success`. */
  | { as: 'none' }
  /** Encrypted by the application as WeChat wants it. */
  | { as: 'encrypted'; body: string }
  /** The documents, still to be encrypted; those that are one and the same in `xml` alone. */
  | { as: 'plain'; xml: string; json?: string | undefined };

/** Whom a reply is to, and who speaks. */
export interface Conversation {
  /** Openid. */
  user: string;
  /** Original id of the account, `gh_…`. */
  account: string;
  /** Unix seconds. */
  createTime: number;
}

const text = (most: number) => z.string().max(most);
const ID = text(256).min(1);
/** Source: developers.weixin.qq.com, Passive_user_reply_message. */
const replySchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('text'),
    // An empty one would be an error to the user.
    content: text(20_000).refine((content) => cleanText(content).trim() !== ''),
  }),
  z.object({ type: z.literal('image'), media_id: ID }),
  z.object({ type: z.literal('voice'), media_id: ID }),
  z.object({
    type: z.literal('video'),
    media_id: ID,
    title: text(512).optional(),
    description: text(2_048).optional(),
  }),
  z.object({
    type: z.literal('music'),
    title: text(512).optional(),
    description: text(2_048).optional(),
    music_url: text(2_048).optional(),
    hq_music_url: text(2_048).optional(),
    thumb_media_id: ID,
  }),
  z.object({
    type: z.literal('news'),
    articles: z
      .array(
        z.object({
          title: text(512),
          description: text(2_048).default(''),
          pic_url: text(2_048).default(''),
          url: text(2_048).default(''),
        }),
      )
      .min(1)
      .max(8),
  }),
  z.object({ type: z.literal('transfer_customer_service'), kf_account: ID.optional() }),
]) satisfies z.ZodType<ReplyMessage>;

/**
 * @param secrets of the component, with which the application encrypts in `raw`
 * @returns undefined when it is nothing that WeChat would take
 */
export function readUserReply(
  route: Route,
  secrets: EnvelopeSecrets,
  conversation: Conversation,
  answer: TargetAnswer,
): UserReply | undefined {
  const body = answer.body.toString('utf8').replace(/^\uFEFF/, '');
  const trimmed = body.trim();
  if (trimmed === '' || trimmed === 'success') return { as: 'none' };
  if (answer.cutOff) return undefined;
  if (route.mode === 'json') return readJsonReply(trimmed, conversation);
  if (route.mode === 'raw') {
    return opened(trimmed, secrets) === undefined ? undefined : { as: 'encrypted', body };
  }
  const { token = '', encodingAesKey = '' } = route;
  const { componentAppid } = secrets;
  const inside = opened(trimmed, { componentAppid, token, encodingAesKey });
  return inside === undefined ? undefined : { as: 'plain', xml: inside.message };
}

function readJsonReply(body: string, conversation: Conversation): UserReply | undefined {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return undefined;
  }
  const read = replySchema.safeParse(json);
  return read.success ? { as: 'plain', ...replyDocument(read.data, conversation) } : undefined;
}

const XML_PART = /<(Encrypt|MsgSignature|TimeStamp|Nonce)>(?:\s*<!\[CDATA\[)?([^<\]]*)/g;

function partsOfXml(body: string): Record<string, unknown> {
  return Object.fromEntries(
    [...body.matchAll(XML_PART)].map(([, name = '', value = '']) => [name, value.trim()] as const),
  );
}

/** An answer that WeChat would trust, opened; undefined when it is none. */
function opened(body: string, secrets: EnvelopeSecrets): OpenedEnvelope | undefined {
  try {
    const parts = body.startsWith('{')
      ? (JSON.parse(body) as Record<string, unknown>)
      : partsOfXml(body);
    const part = (name: string) => {
      const value = parts[name];
      return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
    };
    const signature = part('MsgSignature').toLowerCase();
    if (!/^[0-9a-f]{40}$/.test(signature)) return undefined;
    const signed = { timestamp: part('TimeStamp'), nonce: part('Nonce'), signature };
    const found = openEnvelope(secrets, signed, part('Encrypt'));
    return /^\s*[<{]/.test(found.message) ? found : undefined;
  } catch {
    return undefined;
  }
}
