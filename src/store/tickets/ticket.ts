import { onDisplayKey, onRedis } from '../redis/connection.ts';
import { EVENT_STREAM_LENGTH, SEEN_MS } from './event-stream.ts';
import { deliveryKeys, pushArgument, type DeliveryPlan } from './push.ts';
import type { Counted, EventFields } from './push.ts';
import { loadPushScript, loadScript, runScript } from '../redis/scripts.ts';
import type { Store } from '../redis/store.ts';
import { createTogether } from '../redis/together.ts';

/**
 * The component_verify_ticket of each component: the newest one and the one before it.
 * Source: developers.weixin.qq.com, component_verify_ticket.
 */

/** Milliseconds a ticket lives, counted from its CreateTime. */
export const TICKET_LIFE_MS = 12 * 3600 * 1000;

/** Milliseconds by which a stored CreateTime may be ahead of the clocks; it was once `now` for one. */
const MAX_AHEAD_MS = 3_600_000;

/** More than two days of pushes. */
const ARRIVALS_KEPT = 300;
/** Milliseconds: a ticket that comes again sooner is a repeat, later a sign of life. */
const ARRIVALS_APART_MS = 60_000;

const acceptTicketScript = loadPushScript('tickets/accept-ticket');
const keepTicketScript = loadScript('tickets/keep-ticket');
const refuseTicketScript = loadScript('tickets/refuse-ticket');
const watchTicketScript = loadScript('tickets/watch-ticket');

export interface Ticket {
  ticket: string;
  /** Epoch ms: CreateTime, or the time of arrival when CreateTime lay in the future or was odd. */
  createTime: number;
  receivedAt: number;
  expiresAt: number;
  previousTicket: string | undefined;
  /** When the previous one dies; 0 without one. */
  previousExpiresAt: number;
  /** What WeChat has refused: the newest ticket, or that one and the one before it. */
  refused: 'newest' | 'both' | undefined;
  /** The newest one was refused twice. */
  refusedAgain?: boolean;
  /** When pushes were last asked for. */
  pushAskedAt: number | undefined;
  /** Tickets stored so far. */
  count: number;
}

export interface ArrivedTicket {
  appid: string;
  ticket: string;
  createTime: number;
  receivedAt: number;
  fingerprint: string;
  /** Milliseconds for which this very push is remembered. */
  rememberMs?: number;
  event: EventFields;
  /** Undefined when nobody is to count it. */
  counted?: Counted | undefined;
  /** Undefined when nothing of it is to be delivered. */
  plan?: DeliveryPlan | undefined;
}

/** `duplicate` also when the ticket is the newest already and has but come again. */
export type TicketOutcome = 'stored' | 'older' | 'duplicate';

const accept = createTogether(acceptAll);

/** @throws KeeperError `store_unavailable` */
export function acceptTicket(store: Store, arrived: ArrivedTicket): Promise<TicketOutcome> {
  return accept(store, arrived.appid, arrived);
}

async function acceptAll(
  { redis, keys, time }: Store,
  appid: string,
  arrived: readonly ArrivedTicket[],
): Promise<TicketOutcome[]> {
  const now = time.now();
  const names = [
    ...[keys.events(appid), keys.pushStats(appid)],
    ...[keys.ticketRecord(appid), keys.ticketMirror(appid), keys.ticketArrivals(appid)],
  ];
  const args: (string | number)[] = [
    ...[EVENT_STREAM_LENGTH, now + MAX_AHEAD_MS, ARRIVALS_KEPT, ARRIVALS_APART_MS],
  ];
  for (const { ticket, createTime, receivedAt, rememberMs = SEEN_MS, ...one } of arrived) {
    names.push(keys.seen(appid, one.fingerprint), ...deliveryKeys(keys, appid, one.plan));
    const life = Math.max(1, createTime + TICKET_LIFE_MS - now);
    const own = [ticket, createTime, receivedAt, life, rememberMs].map(String);
    args.push(pushArgument(own, one.event, one.counted, one.plan));
  }
  return (await onRedis(() =>
    runScript(redis, acceptTicketScript, names, args),
  )) as TicketOutcome[];
}

/** When the last tickets came, epoch ms, newest first. @throws KeeperError `store_unavailable` */
export async function readTicketArrivals(store: Store, appid: string): Promise<number[]> {
  const key = store.keys.ticketArrivals(appid);
  const moments = await onDisplayKey(() => store.redis.lrange(key, 0, -1), []);
  return moments.map(Number).filter((moment) => moment > 0);
}

/** @throws KeeperError `store_unavailable` */
export async function readTicket(store: Store, appid: string): Promise<Ticket | undefined> {
  return toTicket(await onRedis(() => store.redis.hgetall(store.keys.ticketRecord(appid))));
}

function toTicket(hash: Record<string, string>): Ticket | undefined {
  const { ticket, create_time: createTime, received_at: receivedAt } = hash;
  if (ticket === undefined || createTime === undefined) return undefined;
  return {
    ticket,
    createTime: Number(createTime),
    receivedAt: Number(receivedAt),
    expiresAt: Number(createTime) + TICKET_LIFE_MS,
    previousTicket: hash.previous_ticket,
    previousExpiresAt:
      hash.previous_create_time === undefined
        ? 0
        : Number(hash.previous_create_time) + TICKET_LIFE_MS,
    refused: hash.refused === 'newest' || hash.refused === 'both' ? hash.refused : undefined,
    refusedAgain: hash.refused_again === ticket,
    pushAskedAt: hash.push_asked_at === undefined ? undefined : Number(hash.push_asked_at),
    count: Number(hash.count) || 0,
  };
}

export interface KeptTicket {
  outcome: 'kept' | 'mirror' | 'restored';
  /** The record was none, and is kept aside. */
  spoiled: boolean;
  /** As it is in Redis now. */
  ticket: Ticket | undefined;
}

/**
 * Writes a remembered ticket back, or only its mirror, when Redis has lost it.
 * @throws KeeperError `store_unavailable`
 */
export async function keepTicket(
  { redis, keys, time }: Store,
  appid: string,
  remembered: Ticket | undefined,
): Promise<KeptTicket> {
  const known = remembered && {
    ticket: remembered.ticket,
    create_time: remembered.createTime,
    received_at: remembered.receivedAt,
    count: remembered.count,
    ...(remembered.previousTicket !== undefined && {
      previous_ticket: remembered.previousTicket,
      previous_create_time: remembered.previousExpiresAt - TICKET_LIFE_MS,
    }),
  };
  const names = [keys.ticketRecord(appid), keys.ticketMirror(appid), keys.spoiledTicket(appid)];
  const args = [time.now(), TICKET_LIFE_MS, JSON.stringify(known ?? {}), MAX_AHEAD_MS];
  const [outcome, spoiled, record] = (await onRedis(() =>
    runScript(redis, keepTicketScript, names, args),
  )) as [KeptTicket['outcome'], string, string];
  const ticket = toTicket(JSON.parse(record) as Record<string, string>);
  return { outcome, spoiled: spoiled !== '', ticket };
}

/** `previous`, or the newest one `again`: a refusal may pass. `newer`: another one has arrived. */
export type TicketLeft = 'previous' | 'again' | 'newer' | 'none';

/**
 * Notes that WeChat refuses this ticket.
 * @returns what is left to try
 * @throws KeeperError `store_unavailable`
 */
export async function refuseTicket(
  store: Store,
  appid: string,
  ticket: string,
  now: number,
): Promise<TicketLeft> {
  const keys = [store.keys.ticketRecord(appid)];
  const left = await onRedis(() => runScript(store.redis, refuseTicketScript, keys, [ticket, now]));
  return left as TicketLeft;
}

/** What the silence of the pushes calls for. */
export interface TicketWatch {
  /** What has just become so, told to one replica only. */
  news: 'silent' | 'silent_long' | 'expired' | undefined;
  /** This replica is to ask WeChat for pushes, now. */
  ask: boolean;
  silenceMs: number;
}

/** Milliseconds. */
export interface TicketPatience {
  warnAfter: number;
  askAfter: number;
  alarmAfter: number;
  askEvery: number;
  /** When WeChat did not answer. */
  askAgainAfter: number;
  /** Before the first ticket ever. */
  askFirstAfter: number;
}

/** @throws KeeperError `store_unavailable` */
export async function watchTicket(
  store: Store,
  appid: string,
  now: number,
  patience: TicketPatience,
): Promise<TicketWatch> {
  const [news, ask, silenceMs] = (await onRedis(() =>
    runScript(
      store.redis,
      watchTicketScript,
      [store.keys.ticketRecord(appid)],
      [
        now,
        patience.warnAfter,
        patience.askAfter,
        patience.alarmAfter,
        TICKET_LIFE_MS,
        patience.askEvery,
        patience.askFirstAfter,
        patience.askAgainAfter,
      ],
    ),
  )) as ['' | 'silent' | 'silent_long' | 'expired', number, number];
  return { news: news === '' ? undefined : news, ask: ask === 1, silenceMs };
}

/**
 * Notes that WeChat could not be asked for pushes, so that nobody waits an hour for what it never heard.
 * @throws KeeperError `store_unavailable`
 */
export async function notePushUnanswered({ redis, keys }: Store, appid: string): Promise<void> {
  await onRedis(() => redis.hset(keys.ticketRecord(appid), 'push_unanswered', 1));
}

/**
 * Notes that WeChat has agreed to push, for whoever looks, and so that the watchdog waits its hour.
 * @throws KeeperError `store_unavailable`
 */
export async function notePushAsked({ redis, keys, time }: Store, appid: string): Promise<void> {
  const key = keys.ticketRecord(appid);
  await onRedis(() => redis.hset(key, 'push_asked_at', time.now()));
  await onRedis(() => redis.hdel(key, 'push_unanswered'));
}
