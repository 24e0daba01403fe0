import { KeeperError } from '../../errors.ts';
import { readTicket } from '../../store/tickets.ts';
import { fetchComponentAccessToken } from '../../wechat/component.ts';
import type { CredentialKind } from './kind.ts';

/** Minted from the stored ticket, which serves for its 12 h even when pushes have stopped. */
export const componentAccessToken: CredentialKind = {
  name: 'component_access_token',
  singleUse: false,
  async prepare({ store, api, component, now }) {
    const ticket = await readTicket(store, component.appid);
    if (ticket === undefined) {
      const message =
        'WeChat has not pushed a component_verify_ticket yet. It comes within 10 minutes if the ' +
        'authorization-event URL in the console is right and the platform is approved.';
      return { blocked: new KeeperError('no_ticket', message, { retryAfterSeconds: 60 }) };
    }
    if (ticket.expiresAt <= now) {
      const message =
        'The last component_verify_ticket is older than 12 h. Check that WeChat can reach the ' +
        'authorization-event URL; the next push repairs everything by itself.';
      return { blocked: new KeeperError('ticket_expired', message, { retryAfterSeconds: 60 }) };
    }
    return {
      mint: () => fetchComponentAccessToken(api, { ...component, ticket: ticket.ticket }),
    };
  },
};
