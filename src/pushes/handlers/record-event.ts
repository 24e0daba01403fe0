import { z } from 'zod';
import { shaped } from '../../wechat/push-xml.ts';
import { eventEntry } from './event-entry.ts';
import type { HandlerContext, OpenedPush, PushHandler, PushOutcome } from './handler.ts';
import { storeEvent } from './store-event.ts';

/** Every InfoType without a handler of its own: written to the event stream for others to use. */
export const recordEvent: Omit<PushHandler, 'infoType'> = {
  handle: (push, context) => storeEvent(push, context, [push.fingerprint], eventEntry(push)),
};

/** What WeChat sends to the message & event URL names an account and is no event of the platform. */
const messageFields = z.object({
  ToUserName: z.string().min(1),
  InfoType: z.undefined().optional(),
});

/**
 * Messages and events of authorizers, from the message & event URL. A repeated delivery may be
 * encrypted anew, so the message itself is recognised too: by its MsgId where there is one, and by
 * its text. (WeChat suggests sender and second for events, which would drop two in one second.)
 * @throws KeeperError `malformed_push`, `stale_push`, `push_not_stored`
 */
export async function recordMessage(
  push: OpenedPush & { authorizerAppid: string },
  context: HandlerContext,
): Promise<PushOutcome> {
  shaped(messageFields, push.fields);
  const { MsgId } = push.fields;
  const text = `${push.authorizerAppid}:text:${push.contentHash}`;
  const identities = [push.fingerprint, text];
  if (typeof MsgId === 'string' && /^\d{1,20}$/.test(MsgId)) {
    identities.push(`${push.authorizerAppid}:msgid:${MsgId}`);
  }
  const entry = { ...eventEntry(push), authorizer_appid: push.authorizerAppid };
  return storeEvent(push, context, identities, entry);
}
