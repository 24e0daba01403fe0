import { KeeperError } from '../../lib/errors.ts';
import { readTicket, refuseTicket, type Ticket } from '../../store/tickets/ticket.ts';
import { fetchComponentAccessToken } from '../../wechat/calls/component.ts';
import { TOKEN_BUDGET, type ComponentKind } from './kind.ts';

/** Calls a day, as WeChat's own quota call reports it. */
const DAILY_CALLS = 10_000;

/** Minted from the stored ticket, which serves for its 12 h even when pushes have stopped. */
export const componentAccessToken: ComponentKind = {
  name: 'component_access_token',
  of: 'component',
  singleUse: false,
  budget: () => ({ ...TOKEN_BUDGET, dailyCalls: DAILY_CALLS }),
  async prepare(context, component) {
    const { store, api, now } = context;
    const stored = await readTicket(store, component.appid);
    const ticket = usable(stored, now);
    if (ticket === undefined) return { blocked: whyNone(stored, now) };
    context.sentTicket = ticket;
    return { mint: () => fetchComponentAccessToken(api, { ...component, ticket }) };
  },
  async afterRefusal({ store, now, sentTicket }, { facts }, component) {
    if (facts.class !== 'ticket' || sentTicket === undefined) return undefined;
    const left = await refuseTicket(store, component.appid, sentTicket, now);
    if (left === 'none') return undefined;
    return left === 'again' ? 'once_more' : 'try_again';
  },
};

/**
 * The newest ticket; the one before it when WeChat refuses the newest; and then the newest once more.
 */
function usable(stored: Ticket | undefined, now: number): string | undefined {
  if (stored === undefined) return undefined;
  const { refused, refusedAgain, previousTicket } = stored;
  const newest = stored.expiresAt > now ? stored.ticket : undefined;
  if (refused === undefined) return newest;
  const previous = stored.previousExpiresAt > now ? previousTicket : undefined;
  if (refused === 'newest' && previous !== undefined) return previous;
  return refusedAgain === true ? undefined : newest;
}

function whyNone(stored: Ticket | undefined, now: number): KeeperError {
  const options = { retryAfterSeconds: 60 };
  if (stored === undefined) {
    const message =
      'WeChat has not pushed a component_verify_ticket yet. It comes within 10 minutes if the ' +
      'authorization-event URL in the console is right and the platform is approved.';
    return new KeeperError('no_ticket', message, options);
  }
  if (stored.expiresAt > now) {
    const message =
      'WeChat refuses the stored component_verify_ticket. The next push repairs everything by itself.';
    return new KeeperError('ticket_expired', message, options);
  }
  const message =
    'The last component_verify_ticket is older than 12 h. Check that WeChat can reach the ' +
    'authorization-event URL; the next push repairs everything by itself.';
  return new KeeperError('ticket_expired', message, options);
}
