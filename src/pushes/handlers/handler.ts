import type { Clock } from '../../clock.ts';
import type { Log } from '../../log.ts';
import type { Store } from '../../store/store.ts';
import type { ArrivedTicket } from '../../store/tickets.ts';
import type { PushFields } from '../../wechat/push-xml.ts';
import type { PendingTickets } from '../pending-tickets.ts';

/** A push that was verified, decrypted and parsed. */
export interface OpenedPush {
  requestId: string;
  componentAppid: string;
  fields: PushFields;
  /** Epoch ms. */
  receivedAt: number;
  /** The signed timestamp is close to our clock. */
  timely: boolean;
  /** What a repeated delivery is recognised by. */
  fingerprint: string;
  /** SHA-256 of the decrypted text in hex: the same for a message that is encrypted anew. */
  contentHash: string;
}

/** `older` and `duplicate` changed nothing and are answered `success` all the same. */
export type PushOutcome = 'stored' | 'older' | 'duplicate';

export interface HandlerContext {
  store: Store;
  clock: Clock;
  log: Log;
  pendingTickets: PendingTickets;
  /** Called behind the answer when a ticket was stored, now or before. */
  onTicket: (arrived: ArrivedTicket) => void;
}

/** One InfoType: a file in this folder and a line in `index.ts`. */
export interface PushHandler {
  infoType: string;
  /**
   * Stores the effect and marks the push as seen, in one step.
   * @throws KeeperError; `success` is not said then
   */
  handle(push: OpenedPush, context: HandlerContext): Promise<PushOutcome>;
}
