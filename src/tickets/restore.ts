import type { Log } from '../lib/log.ts';
import type { Store } from '../store/redis/store.ts';
import {
  keepTicket,
  TICKET_LIFE_MS,
  type ArrivedTicket,
  type Ticket,
  type TicketOutcome,
} from '../store/tickets/ticket.ts';

/**
 * What this process knows of each component's ticket, so that Redis gets it back when it has lost it:
 * WeChat was told that it is stored, and sends no second one for ten minutes.
 */
export interface TicketMemory {
  /** Redis has just stored this one, or had it already. */
  remember(arrived: ArrivedTicket, outcome: TicketOutcome): void;
  /** Compares all with Redis, both ways. @throws KeeperError `store_unavailable` */
  keep(components: readonly { appid: string }[]): Promise<void>;
}

export function createTicketMemory(store: Store, log: Log): TicketMemory {
  const tickets = new Map<string, Ticket>();

  async function keepOne(appid: string): Promise<void> {
    const { outcome, spoiled, ticket } = await keepTicket(store, appid, tickets.get(appid));
    if (ticket !== undefined) tickets.set(appid, ticket);
    if (spoiled) {
      log.error('the record of the ticket was edited by hand; it is kept aside and made anew', {
        appid,
        key: store.keys.spoiledTicket(appid),
      });
    }
    if (outcome === 'restored') {
      log.warn('Redis had lost the ticket; restored from memory', { appid });
    } else if (outcome === 'mirror') {
      log.warn('the key of the ticket was missing or wrong; written again', { appid });
    }
  }
  return {
    remember({ appid, ticket, createTime, receivedAt }, outcome) {
      const before = tickets.get(appid);
      const sinceThen = createTime - (before?.createTime ?? 0);
      // Which one is the newest is said by Redis, unless it has lost what is remembered here.
      if (outcome === 'stored' ? sinceThen < 0 : sinceThen <= 0) return;
      const again = before?.ticket === ticket;
      tickets.set(appid, {
        ticket,
        createTime,
        receivedAt,
        expiresAt: createTime + TICKET_LIFE_MS,
        previousTicket: again ? before.previousTicket : before?.ticket,
        previousExpiresAt: (again ? before.previousExpiresAt : before?.expiresAt) ?? 0,
        refused: undefined,
        pushAskedAt: undefined,
        count: (before?.count ?? 0) + (again ? 0 : 1),
      });
    },
    async keep(components) {
      for (const { appid } of components) await keepOne(appid);
    },
  };
}
