import { ticketGaps, type DashboardData } from '../../../status/dashboard.ts';
import { duration } from '../../../lib/time-format.ts';
import { html, type Html } from '../../pages/html.ts';
import { arrivalStrip, scaleBelow, spanOf } from '../charts.ts';
import { moment, shortTime, type View } from '../view.ts';
import { action, address, facts, pill, title, type Tone } from './parts.ts';

/** The ticket of a platform, and the last day of its arrivals. */

type Component = DashboardData['status']['components'][number];

export const TICKET_TONES: Readonly<Record<Component['ticket']['state'], Tone>> = {
  fresh: 'ok',
  silent: 'warn',
  ticket_refused: 'warn',
  ticket_expired: 'bad',
  no_ticket: 'bad',
};
/** Gaps that are named; all of them are drawn. */
const GAPS_NAMED = 4;

export function ticketPanel(
  view: View,
  { appid, ticket }: Component,
  arrivals: readonly number[] | undefined,
): Html {
  const { words } = view;
  const ask = address('/dashboard/tickets', { subject: appid });
  return html`<article class="card wide" id="ticket-${appid}">
    <header>
      ${title(words.ticket, 'component_verify_ticket')}
      ${pill(TICKET_TONES[ticket.state], words.ticketState[ticket.state])}
      ${view.mayAct(appid) ? action(ask, words.askForTickets, appid) : undefined}
    </header>
    ${facts([
      [words.lastTicket, moment(view, ticket.received_at)],
      ticket.expires_at === null
        ? undefined
        : [
            ticket.state === 'ticket_expired' ? words.ticketOver : words.ticketExpires,
            moment(view, ticket.expires_at),
          ],
      [words.ticketsStored, ticket.received_count.toLocaleString('en')],
      ticket.push_asked_for_at === null
        ? undefined
        : [words.pushAsked, moment(view, ticket.push_asked_for_at)],
    ])}
    ${arrivals === undefined ? html`<p>${words.notReadable}</p>` : strip(view, arrivals)}
  </article>`;
}

const DAY = 86_400_000;
const FULL = { ms: DAY, steps: 4 };
const DIVISIONS = [3, 4, 5];

function strip(view: View, arrivals: readonly number[]): Html {
  const { words, now, language } = view;
  if (arrivals.length === 0) return html`<p class="reading">${words.stripNone}</p>`;
  const { gaps, since } = ticketGaps(arrivals, now);
  const span = spanOf(since, now, FULL, DIVISIONS);
  const count = arrivals.filter((at) => at <= now && at > now - DAY).length;
  const named = gaps.slice(0, GAPS_NAMED).map(({ from, to }) => {
    const length = duration(to - from, language);
    return to === now
      ? words.stripGapNow(shortTime(from), length)
      : words.stripGap(shortTime(from), shortTime(to), length);
  });
  const parts = [
    words.stripCount(count, span.young),
    ...(named.length === 0 ? [words.stripNoGap] : named),
    ...(gaps.length > GAPS_NAMED ? [words.moreGaps(gaps.length - GAPS_NAMED)] : []),
    ...(since > now - DAY ? [words.stripSince(shortTime(since))] : []),
  ];
  const text = parts.join(' · ');
  const title = span.young ? words.stripTitleYoung : words.stripTitle;
  const label = `${title}: ${text}`;
  return html`<figure>
    <figcaption>${title}</figcaption>
    ${arrivalStrip({ label, arrivals, gaps, since, now, spanMs: span.ms })}
    ${scaleBelow(view, span)}
    <p class="reading">${text}</p>
  </figure>`;
}
