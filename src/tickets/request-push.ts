import { randomUUID } from 'node:crypto';
import type { Deps } from '../credentials/deps.ts';
import { KeeperError } from '../lib/errors.ts';
import { takeLease } from '../store/redis/lease.ts';
import { onRedis } from '../store/redis/connection.ts';
import { notePushAsked } from '../store/tickets/ticket.ts';
import { startPushTicket } from '../wechat/calls/component.ts';

/** A person asks WeChat to push tickets again, without waiting for the watchdog to do it. */

export interface TicketsContext extends Deps {
  components: readonly { appid: string; appsecret: string }[];
}

/** Milliseconds between two such calls for one component, whichever replicas are asked. */
const ASK_EVERY_MS = 60_000;

/**
 * Calls api_start_push_ticket. The ticket itself comes as a push, within ten minutes.
 * @param by who asks, for the log
 * @throws KeeperError `unknown_component`, `too_many_requests`, `store_unavailable`; WechatError
 */
export async function askForTickets(
  { store, api, log, components }: TicketsContext,
  appid: string,
  by: string,
): Promise<void> {
  const component = components.find((one) => one.appid === appid);
  if (component === undefined) {
    throw new KeeperError('unknown_component', 'No such component is configured here.');
  }
  const lease = store.keys.lease('start_push_ticket', appid);
  // Never given back: it is the minute that counts. So no two callers may look like one owner.
  if (!(await takeLease(store, lease, randomUUID(), ASK_EVERY_MS))) {
    const left = await onRedis(() => store.redis.pttl(lease));
    throw new KeeperError('too_many_requests', 'WeChat was asked within the last minute.', {
      retryAfterSeconds: Math.max(1, Math.ceil(left / 1000)),
    });
  }
  await startPushTicket(api, component);
  log.info('WeChat was asked by hand to push tickets', { appid, by });
  await notePushAsked(store, appid).catch((error: unknown) => {
    if (!(error instanceof KeeperError)) throw error;
    // WeChat has agreed, which is what the person wants to know.
    log.warn('that WeChat was asked to push tickets could not be noted', { appid, error });
  });
}
