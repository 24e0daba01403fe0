import { hash } from 'node:crypto';
import { idOfSeen, SEEN_MS, type Identity } from '../../store/tickets/event-stream.ts';
import { eventEntry } from './event-entry.ts';
import type { HandlerContext, OpenedPush, PushHandler, PushOutcome } from './handler.ts';
import { freshTimeOf, type PushTime } from './push-time.ts';
import { eventIdentities, storeEvent } from './store-event.ts';

/** Every InfoType without a handler of its own: written to the event stream for others to use. */
export const recordEvent: Omit<PushHandler, 'infoType'> = {
  // Async, so that what it throws is a rejection, as everywhere else.
  async handle(push, context) {
    const identities = eventIdentities(push, freshTimeOf(push, context));
    return storeEvent(push, context, identities, eventEntry(push));
  },
};

/**
 * Milliseconds for which a message with an odd time is remembered at most. There are more messages than
 * events, and one that comes a second time is but stored a second time.
 */
const MAX_ODD_MESSAGE_MS = 30 * 24 * 3600 * 1000;

/**
 * Messages and events of authorizers, from the message & event URL. The signature does not cover the URL:
 * of what is not known to be sent to its own account, the addresses are counted.
 * @throws KeeperError `stale_push`, `push_not_stored`
 */
export async function recordMessage(
  push: ArrivedMessage,
  context: HandlerContext,
): Promise<RecordedMessage> {
  const identities = messageIdentities(push, freshTimeOf(push, context));
  const everywhere = { name: `addresses:${push.hashes.ofEncrypt}`, forMs: SEEN_MS };
  // An InfoType is the platform's: whoever reads the stream must not take a message for its event.
  const entry = { ...eventEntry(push), authorizer_appid: push.authorizerAppid, info_type: '' };
  const outcome = await storeEvent(push, context, identities, entry, {
    everywhere: push.atItsAccount ? undefined : everywhere,
  });
  const { store } = context;
  return { outcome, firstId: () => idOfSeen(store, push.componentAppid, identities) };
}

interface RecordedMessage {
  outcome: PushOutcome;
  /** Of a repeated one: the id of the first, where that is delivered. @throws KeeperError */
  firstId: () => Promise<string | undefined>;
}

/** A message on its way into the stream. */
interface ArrivedMessage extends OpenedPush {
  authorizerAppid: string;
  /** The account of its URL is known to be the one that is named in it. */
  atItsAccount: boolean;
}

/**
 * What a repeated delivery of a message is recognised by: its text, which the same Encrypt has as well,
 * and its id, should anything else in it have changed. An id says nothing without its sender, its time
 * and its type: senders may count alike, and WeChat sends 0 for none. (For events without an id WeChat
 * suggests sender and second, which would drop two in one second.)
 * Each name takes about 220 bytes of Redis: 290 MB at 1,000 messages a second, half as much again for
 * accounts that are not known.
 */
function messageIdentities(
  { authorizerAppid, fields, hashes }: ArrivedMessage,
  { oddity, rememberMs }: PushTime,
): Identity[] {
  const identities = [{ name: `${authorizerAppid}:text:${hashes.ofContent}`, forMs: SEEN_MS }];
  const { FromUserName: sender, MsgId, CreateTime = '', MsgType = '', Event = '' } = fields;
  const id = typeof MsgId === 'string' ? MsgId.trim() : '';
  if (/^\d{1,32}$/.test(id) && /[1-9]/.test(id) && typeof sender === 'string' && sender !== '') {
    const named = JSON.stringify([sender, id, CreateTime, MsgType, Event]);
    identities.push({ name: `${authorizerAppid}:id:${hash('sha256', named)}`, forMs: SEEN_MS });
  }
  // An odd time does not tell a captured message from a new one, so it must be remembered.
  if (oddity !== undefined) {
    const name = `${authorizerAppid}:${hashes.ofEncrypt}`;
    identities.push({ name, forMs: Math.min(rememberMs, MAX_ODD_MESSAGE_MS) });
  }
  return identities;
}
