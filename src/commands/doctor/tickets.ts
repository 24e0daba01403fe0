import { ticketFindings, ticketState } from '../../status/rules.ts';
import { flowOf, pointingAt, refusedFindings } from '../../status/refused-pushes.ts';
import { readPushStats } from '../../store/tickets/push-stats.ts';
import { readRefused } from '../../store/tickets/refused-pushes.ts';
import { readTicket } from '../../store/tickets/ticket.ts';
import { both, fromFinding, ok, skipped, type Check } from './check.ts';
import type { Installation } from './installation.ts';

/** How old the ticket of each component is: WeChat pushes one every ten minutes. */

/** @throws KeeperError `store_unavailable` */
export async function examineTickets(installation: Installation): Promise<Check[]> {
  const { config, redisProblem } = installation;
  const appids = config.components.map(({ appid }) => appid);
  if (redisProblem === undefined) {
    return Promise.all(appids.map((appid) => examineTicket(installation, appid)));
  }
  const why = both('Redis cannot be used', '无法使用 Redis');
  return appids.map((appid) => skipped('tickets', appid, why));
}

async function examineTicket({ store, secrets }: Installation, appid: string): Promise<Check> {
  const [ticket, pushes, refused] = await Promise.all([
    readTicket(store, appid),
    readPushStats(store, appid),
    readRefused(store, appid),
  ]);
  for (const secret of [ticket?.ticket, ticket?.previousTicket]) {
    if (secret !== undefined) secrets.add(secret);
  }
  const now = store.time.now();
  const because = refusedFindings(appid, refused, flowOf(pushes.acceptedAt, now), now);
  const findings = ticketFindings(appid, ticketState(ticket, now), ticket, now);
  const [found] = pointingAt(because, findings);
  if (found !== undefined) return fromFinding('tickets', appid, found);
  const minutes = Math.max(0, Math.floor((now - (ticket?.receivedAt ?? now)) / 60_000));
  return ok(
    'tickets',
    appid,
    both(`the last one came ${minutes} minutes ago`, `最近一次在 ${minutes} 分钟前`),
  );
}
