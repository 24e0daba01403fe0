import type { EventFields } from '../store/tickets/push.ts';
import { textOf, type PushFields } from '../wechat/push/push-fields.ts';
import type { PushFormat } from '../wechat/push/envelope.ts';

/** An accepted push, as what is delivered of it is made from. */
export interface PushToDeliver {
  id: string;
  component: string;
  /** Of the URL of a message, or named by an event of the platform. */
  authorizer: string | undefined;
  /** Of the URL at which it came. */
  type: 'event' | 'message';
  fields: PushFields;
  /** As it is in the event stream: without tickets, codes and tokens. */
  entry: EventFields;
  /** Epoch ms. */
  receivedAt: number;
  /** As WeChat sent it. */
  query: Readonly<Record<string, unknown>>;
  body: Buffer;
  contentType: string | undefined;
  /** Decrypted. */
  message: string;
  format: PushFormat;
  /** The exchange of its authorization code, before whose end it is not delivered. */
  awaits?: string | undefined;
}

/** What routes look at, in lower case; undefined where a push of its type has none. */
export interface PushTraits {
  component: string;
  authorizer: string | undefined;
  infoType: string | undefined;
  msgType: string | undefined;
  event: string | undefined;
}

export function traitsOf({ type, component, authorizer, fields }: PushToDeliver): PushTraits {
  const named = (name: string) => textOf(fields, name)?.trim().toLowerCase() ?? '';
  return {
    component,
    authorizer: authorizer?.toLowerCase(),
    // A message may carry an InfoType that its sender has typed.
    infoType: type === 'event' ? named('InfoType') : undefined,
    msgType: type === 'message' ? named('MsgType') : undefined,
    event: type === 'message' ? named('Event') : undefined,
  };
}
