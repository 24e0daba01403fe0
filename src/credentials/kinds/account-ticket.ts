import { fetchTicket } from '../../wechat/account.ts';
import { TOKEN_BUDGET, type AccountKind, type KindContext } from './kind.ts';
import type { Minted } from '../../wechat/minted.ts';

/**
 * What `jsapi_ticket` and `wx_card_ticket` have in common. WeChat answers a repeat with the same ticket
 * and always a full life, although less is left: the life counts from the first time.
 * Source: seen in the field; the page on getticket is silent about it.
 */
export function accountTicket(
  name: 'jsapi_ticket' | 'wx_card_ticket',
  type: 'jsapi' | 'wx_card',
): AccountKind {
  return {
    name,
    of: 'account',
    singleUse: false,
    needs: 'access_token',
    wanted: (account) => account.tickets.includes(type),
    budget: () => ({ ...TOKEN_BUDGET, dailyCalls: 0 }),
    prepare({ api, record, parent, now }) {
      const mint = async () =>
        shortenedByRepeat(await fetchTicket(api, { accessToken: parent, type }), record, now);
      return Promise.resolve({ mint });
    },
  };
}

/** Seconds; by then WeChat's idea of the end and ours have met. */
const MAX_REPEAT_SECONDS = 60;

function shortenedByRepeat(minted: Minted, record: KindContext['record'], now: number): Minted {
  if (minted.value !== record.value) return minted;
  const left = Math.floor((record.expiresAt - now) / 1000);
  if (left > 0) return { ...minted, lifeSeconds: left };
  // Repeated past its end: by our reckoning it ends a little early. Asked again soon, then less often.
  const former = Math.ceil((record.expiresAt - record.obtainedAt) / 1000);
  const lifeSeconds = former > MAX_REPEAT_SECONDS ? 1 : Math.min(MAX_REPEAT_SECONDS, 2 * former);
  return { ...minted, lifeSeconds };
}
