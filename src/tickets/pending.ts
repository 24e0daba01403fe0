import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Store } from '../store/redis/store.ts';
import { acceptTicket, type ArrivedTicket, type TicketOutcome } from '../store/tickets/ticket.ts';

/**
 * Tickets that arrived while Redis was away: the last of each component are kept in memory and written
 * again and again, because WeChat promises no second delivery. They are written in the order in which
 * they came, and Redis says which one is the newest, as if it had been there.
 */
export interface PendingTickets {
  hold(ticket: ArrivedTicket): void;
  /** Components with a ticket that Redis has not got yet. */
  components(): string[];
  /** Writes what waits, now: Redis is back. */
  flush(): Promise<void>;
  /** Tries a last time. */
  stop(): Promise<void>;
}

/** Milliseconds between writes, doubling from the first to the last. */
const RETRY_MS = { first: 1_000, last: 5_000 };
/** Tickets that wait for each component: the newest counts, and the one before it. */
const MAX_WAITING = 6;

interface PendingState {
  store: Store;
  clock: Clock;
  log: Log;
  onStored: (arrived: ArrivedTicket, outcome: TicketOutcome) => void;
  held: Map<string, readonly ArrivedTicket[]>;
  cancel: (() => void) | undefined;
  stopped: boolean;
}

export function createPendingTickets(
  options: Pick<PendingState, 'store' | 'clock' | 'log' | 'onStored'>,
): PendingTickets {
  const state: PendingState = { ...options, held: new Map(), cancel: undefined, stopped: false };
  return {
    hold(ticket) {
      const { appid } = ticket;
      const waiting = state.held.get(appid) ?? [];
      // WeChat sends again what it got no `success` for.
      if (waiting.some((one) => one.fingerprint === ticket.fingerprint)) return;
      state.held.set(appid, newestOf([...waiting, ticket]));
      state.log.warn('Redis is away: a ticket waits in memory until it is back', { appid });
      if (state.cancel === undefined) plan(state, RETRY_MS.first);
    },
    components: () => [...state.held.keys()],
    flush: () => writeAll(state),
    async stop() {
      state.stopped = true;
      state.cancel?.();
      await writeAll(state);
      for (const appid of state.held.keys()) {
        state.log.error('stopped with a ticket that Redis never got; WeChat sends another', {
          appid,
        });
      }
    },
  };
}

function plan(state: PendingState, delayMs: number): void {
  if (state.stopped) return;
  state.cancel = state.clock.setTimer(delayMs, () => {
    // `cancel` stays set while writing, so that a ticket held meanwhile starts no second chain.
    void writeAll(state).then(() => {
      state.cancel = undefined;
      if (state.held.size > 0) plan(state, Math.min(delayMs * 2, RETRY_MS.last));
    });
  });
}

/** In the order in which they came, without the oldest if there are too many. */
function newestOf(waiting: readonly ArrivedTicket[]): readonly ArrivedTicket[] {
  if (waiting.length <= MAX_WAITING) return waiting;
  const oldest = Math.min(...waiting.map(({ createTime }) => createTime));
  return waiting.toSpliced(
    waiting.findIndex(({ createTime }) => createTime === oldest),
    1,
  );
}

/** Never rejects. */
async function writeAll({ store, log, held, onStored }: PendingState): Promise<void> {
  for (const [appid, waiting] of held) {
    try {
      for (const ticket of waiting) {
        const outcome = await acceptTicket(store, ticket);
        const left = held.get(appid)?.filter((one) => one !== ticket) ?? [];
        if (left.length > 0) held.set(appid, left);
        else held.delete(appid);
        log.info('a ticket that waited for Redis is stored', { appid, outcome });
        if (outcome !== 'older') onStored(ticket, outcome);
      }
    } catch (error) {
      log.debug('a ticket still waits for Redis', { appid, error });
    }
  }
}
