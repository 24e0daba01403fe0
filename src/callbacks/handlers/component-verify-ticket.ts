import { KeeperError } from '../../lib/errors.ts';
import { acceptTicket, TICKET_LIFE_MS } from '../../store/tickets/ticket.ts';
import { textOf } from '../../wechat/push/push-fields.ts';
import { eventEntry } from './event-entry.ts';
import type { PushHandler } from './handler.ts';
import { noteOddity, timeOf, type PushTime } from './push-time.ts';
import { recordEvent } from './other-event.ts';
import { warnUndocumented } from './store-event.ts';

/**
 * The ticket every component credential is made from, pushed every 10 minutes.
 * Source: developers.weixin.qq.com, component_verify_ticket.
 */
const NAME = 'ComponentVerifyTicket';
/** WeChat names no length, and what it signed is bounded by the body. */
const TICKET = /^[\x21-\x7E]+$/;

export const componentVerifyTicket: PushHandler = {
  infoType: 'component_verify_ticket',
  async handle(push, context) {
    const ticket = textOf(push.fields, NAME);
    if (ticket === undefined || !TICKET.test(ticket)) {
      warnUndocumented(push, context, [NAME]);
      return recordEvent.handle(push, context);
    }
    const { componentAppid: appid, receivedAt } = push;
    const time = timeOf(push, context);
    // The later of two clocks, so that one that is behind does not make a new ticket seem old.
    const storeNow = context.store.time.now();
    const now = Math.max(receivedAt, storeNow);
    // One from the future must not block those that follow.
    const createTime = Math.min(time.at, now);
    // A late ticket is judged by its own age, not by the signature's: it may be all there is. One that
    // is ahead together with its signature shows that our clock is behind. And the earlier of the two
    // clocks judges, so that one that is ahead does not make every ticket too old.
    const ageless = !time.dated && time.oddity !== 'ahead' && !time.timely;
    if (ageless || createTime + TICKET_LIFE_MS <= Math.min(receivedAt, storeNow)) {
      throw new KeeperError('stale_push', 'too old', { reason: 'clock' });
    }
    noteOddity(push, time, context);
    const event = eventEntry(push);
    const arrived = {
      appid,
      ticket,
      createTime,
      // By the earlier clock as well: while a moment ahead is not reached, no silence would be noticed.
      receivedAt: Math.max(createTime, Math.min(receivedAt, storeNow)),
      fingerprint: push.hashes.ofEncrypt,
      rememberMs: rememberMs(time, now),
      event,
      plan: push.plan(event),
    };
    let outcome;
    try {
      outcome = await acceptTicket(context.store, { ...arrived, counted: push.counted });
    } catch (cause) {
      // WeChat may not send it again, so it is kept in memory and written as soon as Redis is back.
      context.pendingTickets.hold(arrived);
      throw new KeeperError('push_not_stored', 'not stored, send again', { cause });
    }
    // A duplicate may be our own write whose answer was lost; looking once more costs nothing.
    if (outcome !== 'older') context.onTicket(arrived, outcome);
    return outcome;
  },
};

/** Milliseconds until its time is past, and it would be taken at its word, and for a life after that. */
function rememberMs({ oddity, stated = 0, ...time }: PushTime, now: number): number {
  const ahead = oddity === 'ahead' ? stated + TICKET_LIFE_MS - now : 0;
  return Math.max(time.rememberMs, ahead);
}
