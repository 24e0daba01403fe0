import { fetchTicket } from '../../wechat/calls/account.ts';
import { TOKEN_BUDGET, type AccountKind, type KindContext } from './kind.ts';
import type { TokenAnswer } from '../../wechat/token-answer.ts';

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

/** Seconds. */
const MAX_GUESS_SECONDS = 300;

function shortenedByRepeat(
  minted: TokenAnswer,
  record: KindContext['record'],
  now: number,
): TokenAnswer {
  if (minted.value !== record.value) return minted;
  const end = record.valueSince + minted.lifeSeconds * 1000;
  const left = (Math.min(end, Math.max(record.expiresAt, now)) - now) / 1000;
  if (left >= 1) return { ...minted, lifeSeconds: Math.floor(left) };
  // Repeated past its end: by our reckoning that came early. Asked again soon, then less often.
  const overdue = Math.floor((now - end) / 1000);
  return { ...minted, lifeSeconds: Math.min(MAX_GUESS_SECONDS, Math.max(1, overdue)) };
}
