import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/store.ts';
import { acceptTicket, type ArrivedTicket } from '../store/tickets.ts';

/**
 * Tickets that arrived while Redis was away: the newest of each component is kept in memory and
 * written again and again, because WeChat promises no second delivery.
 */
export interface PendingTickets {
  hold(ticket: ArrivedTicket): void;
  /** Components with a ticket that Redis has not got yet. */
  components(): string[];
  stop(): void;
}

/** Milliseconds between writes, doubling from the first to the last. */
const RETRY_MS = { first: 1_000, last: 5_000 };

export function createPendingTickets(options: {
  store: Store;
  clock: Clock;
  log: Log;
  onStored: (componentAppid: string) => void;
}): PendingTickets {
  const { store, clock, log } = options;
  const held = new Map<string, ArrivedTicket>();
  let cancel: (() => void) | undefined;

  const plan = (delayMs: number) => {
    cancel = clock.setTimer(delayMs, () => void writeAll(Math.min(delayMs * 2, RETRY_MS.last)));
  };
  const writeAll = async (nextDelayMs: number) => {
    for (const [appid, ticket] of held) {
      try {
        const outcome = await acceptTicket(store, ticket, clock.now());
        if (held.get(appid) === ticket) held.delete(appid);
        log.info('a ticket that waited for Redis is stored', { appid, outcome });
        if (outcome === 'stored') options.onStored(appid);
      } catch (error) {
        log.debug('a ticket still waits for Redis', { appid, error });
      }
    }
    cancel = undefined;
    if (held.size > 0) plan(nextDelayMs);
  };
  return {
    hold(ticket) {
      const earlier = held.get(ticket.appid);
      if (earlier !== undefined && earlier.createTime > ticket.createTime) return;
      held.set(ticket.appid, ticket);
      if (cancel === undefined) plan(RETRY_MS.first);
    },
    components: () => [...held.keys()],
    stop: () => cancel?.(),
  };
}
