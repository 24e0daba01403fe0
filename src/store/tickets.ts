import { onRedis } from './redis.ts';
import { EVENT_STREAM_LENGTH, SEEN_MS, type EventFields } from './events.ts';
import { loadScript, runScript } from './scripts.ts';
import type { Store } from './store.ts';

/**
 * The component_verify_ticket of each component: the newest one and the one before it.
 * Source: developers.weixin.qq.com, component_verify_ticket.
 */

/** Milliseconds a ticket lives, counted from its CreateTime. */
export const TICKET_LIFE_MS = 12 * 3600 * 1000;

const acceptTicketScript = loadScript('accept-ticket');

export interface Ticket {
  ticket: string;
  /** Epoch ms: CreateTime, or the time of arrival when CreateTime lay in the future or was odd. */
  createTime: number;
  receivedAt: number;
  expiresAt: number;
  previousTicket: string | undefined;
  /** Tickets stored so far. */
  count: number;
}

export interface ArrivedTicket {
  appid: string;
  ticket: string;
  createTime: number;
  receivedAt: number;
  fingerprint: string;
  event: EventFields;
}

export type TicketOutcome = 'stored' | 'older' | 'duplicate';

/** @throws KeeperError `store_unavailable` */
export async function acceptTicket(
  store: Store,
  arrived: ArrivedTicket,
  now: number,
): Promise<TicketOutcome> {
  const { appid, ticket, createTime, receivedAt, fingerprint, event } = arrived;
  const { keys } = store;
  const outcome = await onRedis(() =>
    runScript(
      store.redis,
      acceptTicketScript,
      [
        keys.seen(appid, fingerprint),
        keys.ticketRecord(appid),
        keys.ticketMirror(appid),
        keys.events(appid),
      ],
      [
        ticket,
        createTime,
        receivedAt,
        Math.max(1, createTime + TICKET_LIFE_MS - now),
        SEEN_MS,
        EVENT_STREAM_LENGTH,
        JSON.stringify(Object.entries(event).flat()),
      ],
    ),
  );
  return outcome as TicketOutcome;
}

/** @throws KeeperError `store_unavailable` */
export async function readTicket(store: Store, appid: string): Promise<Ticket | undefined> {
  const hash = await onRedis(() => store.redis.hgetall(store.keys.ticketRecord(appid)));
  const { ticket, create_time: createTime, received_at: receivedAt } = hash;
  if (ticket === undefined || createTime === undefined) return undefined;
  return {
    ticket,
    createTime: Number(createTime),
    receivedAt: Number(receivedAt),
    expiresAt: Number(createTime) + TICKET_LIFE_MS,
    previousTicket: hash.previous_ticket,
    count: Number(hash.count ?? 0),
  };
}
