import { z } from 'zod';
import { KeeperError } from '../../errors.ts';
import { acceptTicket, TICKET_LIFE_MS } from '../../store/tickets.ts';
import { shaped } from '../../wechat/push-xml.ts';
import { eventEntry } from './event-entry.ts';
import type { PushHandler } from './handler.ts';

/**
 * The ticket every component credential is made from, pushed every 10 minutes.
 * Source: developers.weixin.qq.com, component_verify_ticket.
 */
const ticketFields = z.object({
  ComponentVerifyTicket: z.string().regex(/^[\x21-\x7E]{1,1024}$/),
  CreateTime: z.string().max(32),
});

/** WeChat's clock may run ahead of ours by this much before it is worth a warning. */
const MAX_AHEAD_MS = 300_000;

export const componentVerifyTicket: PushHandler = {
  infoType: 'component_verify_ticket',
  async handle(push, context) {
    const { ComponentVerifyTicket: ticket, CreateTime } = shaped(ticketFields, push.fields);
    const { componentAppid: appid, receivedAt, fingerprint } = push;
    const stated = /^\d{1,12}$/.test(CreateTime) ? Number(CreateTime) * 1000 : undefined;
    // The later of two clocks, so that one that is behind does not make a new ticket seem old.
    const now = Math.max(receivedAt, context.store.time.now());
    const plausible = stated !== undefined && stated <= now + MAX_AHEAD_MS;
    if (!plausible) {
      // A ticket from the future must not block the ones that follow, so it counts as made now.
      context.log.warn('a ticket has an odd CreateTime; is our clock right?', {
        appid,
        CreateTime,
      });
    }
    // A late ticket is judged by its own age, not by the signature's: it may be all there is.
    const createTime = Math.min(stated ?? now, now);
    const unknownAge = stated === undefined && !push.timely;
    if (unknownAge || createTime + TICKET_LIFE_MS <= now) {
      throw new KeeperError('stale_push', 'too old');
    }
    const arrived = {
      appid,
      ticket,
      createTime,
      receivedAt,
      fingerprint,
      event: eventEntry(push, ['ComponentVerifyTicket']),
    };
    let outcome;
    try {
      outcome = await acceptTicket(context.store, arrived);
    } catch (cause) {
      // WeChat may not send it again, so it is kept in memory and written as soon as Redis is back.
      context.pendingTickets.hold(arrived);
      throw new KeeperError('push_not_stored', 'not stored, send again', { cause });
    }
    // A duplicate may be our own write whose answer was lost; looking once more costs nothing.
    if (outcome !== 'older') context.onTicket(arrived);
    return outcome;
  },
};
