import { createHash } from 'node:crypto';
import { KeeperError } from '../../errors.ts';
import { appendEvent, type EventFields } from '../../store/events.ts';
import { eventEntry } from './event-entry.ts';
import type { HandlerContext, OpenedPush, PushHandler, PushOutcome } from './handler.ts';

/** Every InfoType without a handler of its own: written to the event stream for others to use. */
export const recordEvent: Omit<PushHandler, 'infoType'> = {
  handle: (push, context) => append(push, context, [push.fingerprint], eventEntry(push)),
};

/**
 * Messages and events of authorizers, from the message & event URL. A repeated delivery may be
 * encrypted anew, so the message's own identity counts too: MsgId where there is one, otherwise
 * sender, time and event (Receiving_standard_messages, 消息排重).
 * @throws KeeperError `stale_push`, `push_not_stored`
 */
export function recordMessage(
  push: OpenedPush & { authorizerAppid: string },
  context: HandlerContext,
): Promise<PushOutcome> {
  const { MsgId, FromUserName, CreateTime, Event } = push.fields;
  const name =
    typeof MsgId === 'string'
      ? ['msgid', MsgId]
      : ['event', FromUserName, CreateTime, Event].map((part) => JSON.stringify(part ?? ''));
  const identity = createHash('sha256')
    .update([push.authorizerAppid, ...name].join('\n'))
    .digest('hex');
  const entry = { ...eventEntry(push), authorizer_appid: push.authorizerAppid };
  return append(push, context, [push.fingerprint, identity], entry);
}

async function append(
  push: OpenedPush,
  context: HandlerContext,
  identities: readonly string[],
  entry: EventFields,
): Promise<PushOutcome> {
  // Repeats are recognised for as long as a signature is accepted, so nothing is done twice.
  if (!push.timely) throw new KeeperError('stale_push', 'timestamp too far from ours');
  try {
    return await appendEvent(context.store, push.componentAppid, identities, entry);
  } catch (cause) {
    throw new KeeperError('push_not_stored', 'not stored, send again', { cause });
  }
}
