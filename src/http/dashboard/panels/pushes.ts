import type { DashboardData } from '../../../status/dashboard.ts';
import type { StoredEvent } from '../../../store/tickets/event-stream.ts';
import { html, type Html, type Part } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { code, cut, facts, table, words as inWords } from './parts.ts';

/** What WeChat has sent to a platform: how much of it, and what it was. */

type Component = DashboardData['status']['components'][number];
type Refused = Component['pushes']['refused'];

/** Parts of field names whose values nobody needs to see. */
const SECRET = /code|ticket|token|secret|key|signature/i;
/** Shown in columns of their own, or of no interest. */
const KNOWN = new Set(
  'appid componentappid createtime infotype msgtype event authorizerappid tousername'.split(' '),
);
const MAX_FIELDS = 4;
const MAX_VALUE = 80;

export function pushesPanel(
  view: View,
  { appid, pushes }: Component,
  events: readonly StoredEvent[] | undefined,
): Html {
  const { words } = view;
  const used = (count: number, at: string | null) =>
    html`${count.toLocaleString('en')}${at === null ? undefined : html` · ${words.lastUsed} ${moment(view, at)}`}`;
  return html`<article class="card wide" id="events-${appid}">
    <header><h3>${words.pushes}</h3></header>
    ${facts([
      [words.accepted, pushes.accepted.toLocaleString('en')],
      [words.duplicate, pushes.duplicate.toLocaleString('en')],
      [words.refused, sumOf(pushes.refused).toLocaleString('en')],
      [words.withPreviousToken, used(pushes.previous_token, pushes.previous_token_last_used_at)],
      [words.withPreviousKey, used(pushes.previous_key, pushes.previous_key_last_used_at)],
    ])}
    ${refusedTable(view, pushes.refused)}
    <h4>${words.events}</h4>
    <p class="reading">${events?.length === 0 ? words.eventsNone : words.eventsText}</p>
    ${events === undefined ? html`<p>${words.notReadable}</p>` : eventTable(view, events)}
  </article>`;
}

function sumOf(refused: Refused): number {
  return refused.reduce((sum, { total }) => sum + total, 0);
}

/** The latest first. */
function refusedTable(view: View, refused: Refused): Html | undefined {
  const { words } = view;
  if (refused.length === 0) return undefined;
  const latest = [...refused].sort((a, b) => (b.last_at ?? '').localeCompare(a.last_at ?? ''));
  const heads = [words.reason, words.address, words.count, words.inARow, words.last, words.path];
  return html`<h4>${words.refused}</h4>
    ${table(
      words.refused,
      heads,
      latest.map((one): Part[] => [
        inWords(one.reason),
        words.pushUrl[one.url],
        one.total.toLocaleString('en'),
        one.in_a_row.toLocaleString('en'),
        moment(view, one.last_at),
        code(one.last_path),
      ]),
    )}`;
}

function eventTable(view: View, events: readonly StoredEvent[]): Html | undefined {
  const { words } = view;
  if (events.length === 0) return undefined;
  const told = events.map(({ fields }) => details(fields));
  // A column of nothing would only make the others narrow.
  const anything = told.some((one) => one !== '');
  const heads = [words.time, words.event, words.appid, ...(anything ? [words.details] : [])];
  return table(
    words.events,
    heads,
    events.map(({ at, fields }, index): Part[] => [
      moment(view, at),
      cut(fields.info_type || [fields.msg_type, fields.event].filter(Boolean).join(' '), MAX_VALUE),
      fields.authorizer_appid ? code(cut(fields.authorizer_appid, 40)) : '–',
      ...(anything ? [told[index] ?? ''] : []),
    ]),
  );
}

/** A few of the fields of a platform's event. Of messages, what people have written stays unseen. */
function details({ info_type: type, fields = '' }: StoredEvent['fields']): string {
  if (!type) return '';
  let parsed: unknown;
  try {
    parsed = JSON.parse(fields);
  } catch {
    return '';
  }
  if (typeof parsed !== 'object' || parsed === null) return '';
  return Object.entries(parsed as Record<string, unknown>)
    .filter(([name, value]) => typeof value === 'string' && isShown(name))
    .slice(0, MAX_FIELDS)
    .map(([name, value]) => `${cut(name, 40)}: ${cut(value as string, MAX_VALUE)}`)
    .join(' · ');
}

function isShown(name: string): boolean {
  return !SECRET.test(name) && !KNOWN.has(name.toLowerCase().replaceAll('_', ''));
}
