import { ticketGaps, type DashboardData } from '../../../status/dashboard.ts';
import { html, type Html } from '../../pages/html.ts';
import { arrivalStrip } from '../charts.ts';
import { duration, moment, shortTime, type View } from '../view.ts';
import { action, address, facts, pill, title, type Tone } from './parts.ts';

/** The ticket of a platform, and the last day of its arrivals. */

type Component = DashboardData['status']['components'][number];

export const TICKET_TONES: Readonly<Record<Component['ticket']['state'], Tone>> = {
  ...{ fresh: 'ok', silent: 'warn', ticket_refused: 'warn' },
  ...{ ticket_expired: 'bad', no_ticket: 'bad' },
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

function strip(view: View, arrivals: readonly number[]): Html {
  const { words, now } = view;
  const { gaps, since } = ticketGaps(arrivals, now);
  const count = arrivals.filter((at) => at <= now && at > now - 86_400_000).length;
  const named = gaps.slice(0, GAPS_NAMED).map(({ from, to }) => {
    const length = duration(words, to - from);
    return to === now
      ? words.stripGapNow(shortTime(from), length)
      : words.stripGap(shortTime(from), shortTime(to), length);
  });
  const parts = [
    words.stripCount(count),
    ...(named.length === 0 ? [words.stripNoGap] : named),
    ...(gaps.length > GAPS_NAMED ? [words.moreGaps(gaps.length - GAPS_NAMED)] : []),
    ...(arrivals.length > 0 && since > now - 86_400_000
      ? [words.stripSince(shortTime(since))]
      : []),
  ];
  const text = parts.join(' · ');
  const label = `${words.stripTitle}: ${text}`;
  return html`<figure>
    <figcaption>${words.stripTitle}</figcaption>
    ${arrivalStrip({ label, arrivals, gaps, since, now })} ${hourScale(view, [24, 18, 12, 6, 0])}
    <p class="reading">${text}</p>
  </figure>`;
}

export function hourScale({ words }: View, marks: readonly number[]): Html {
  return html`<p class="scale" aria-hidden="true">
    ${marks.map((hours) => html`<span>${words.hoursAgo(hours)}</span>`)}
  </p>`;
}
