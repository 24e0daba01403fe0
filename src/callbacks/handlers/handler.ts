import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { Counted, DeliveryPlan, EventFields } from '../../store/tickets/push.ts';
import type { Store } from '../../store/redis/store.ts';
import type { ArrivedTicket, TicketOutcome } from '../../store/tickets/ticket.ts';
import type { PushHashes, SignedQuery } from '../../wechat/push/envelope.ts';
import type { PushFields } from '../../wechat/push/push-fields.ts';
import type { Oddity } from '../../wechat/push/read-push.ts';
import type { PendingTickets } from '../../tickets/pending.ts';

/** A push that was verified, decrypted and parsed. */
export interface OpenedPush {
  requestId: string;
  componentAppid: string;
  /** What may be acted on: `textOf(fields, 'InfoType')`. */
  fields: PushFields;
  /** All that was sent, for the event stream only. */
  content: PushFields;
  /** The text itself, when not all of it could be read. */
  raw: string | undefined;
  odd: readonly Oddity[];
  /** Epoch ms. */
  receivedAt: number;
  /** What the signature covers beside the text: when it was made, and more, see push-time.ts. */
  signed: Pick<SignedQuery, 'timestamp' | 'nonce'>;
  /** What a repeated delivery is recognised by. */
  hashes: PushHashes;
  /** How it is counted when it is stored. */
  counted: Counted;
  /**
   * What is to be delivered of it, to be stored with it.
   * @param entry of the stream
   * @param awaits the exchange of its code, before whose end nobody shall hear of it
   */
  plan: (entry: EventFields, awaits?: string) => DeliveryPlan | undefined;
}

/** `older` and `duplicate` changed nothing and are answered `success` all the same. */
export type PushOutcome = 'stored' | 'older' | 'duplicate';

/** A message or event of an authorizer that was stored, now or before. */
export interface StoredMessage {
  requestId: string;
  componentAppid: string;
  /** As the URL says. */
  authorizerAppid: string;
  fields: PushFields;
  odd: readonly Oddity[];
  /** `duplicate` when it was stored before: answered alike, but nothing is done twice. */
  outcome: PushOutcome;
}

/** What a message is answered with instead of `success`. */
export interface Reply {
  /** A whole XML document, still to be encrypted; the empty text is the empty answer. */
  xml: string;
  /** The same for accounts that push JSON. */
  json?: string;
  /** Called once, when the answer is out or WeChat has hung up. Must not throw. */
  afterwards?: () => void;
}

export interface HandlerContext {
  store: Store;
  clock: Clock;
  log: Log;
  pendingTickets: PendingTickets;
  /** Called behind the answer when a ticket was stored, now or before. */
  onTicket: (arrived: ArrivedTicket, outcome: TicketOutcome) => void;
  /** Called when an authorization code was stored; with the pre_auth_code that it came by. */
  onCode: (component: string, preAuthCode: string | undefined) => void;
  /** Called when an account has ended its authorization. */
  onRevoked: (component: string, authorizer: string) => void;
  /** Chooses a reply to a message; undefined is `success`. Not async: WeChat waits 5 s at most. */
  replyTo?: (message: StoredMessage) => Reply | undefined;
}

/** One InfoType: a file in this folder and a line in `index.ts`. */
export interface PushHandler {
  infoType: string;
  /**
   * Stores the effect, then marks the push as seen: what is done in two steps can be repeated.
   * @throws KeeperError; `success` is not said then
   */
  handle(push: OpenedPush, context: HandlerContext): Promise<PushOutcome>;
}
