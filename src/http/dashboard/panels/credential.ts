import {
  refreshIntervals,
  type CredentialHistory,
  type DashboardData,
} from '../../../status/dashboard.ts';
import type { RefusedBy } from '../../../store/credentials/refused-by.ts';
import type { HistoryEntry } from '../../../store/credentials/record.ts';
import { duration } from '../../../lib/time-format.ts';
import { html, type Html } from '../../pages/html.ts';
import {
  countdownBar,
  intervalChart,
  isUnplanned,
  scaleBelow,
  scaleOf,
  spanOf,
  type Span,
} from '../charts.ts';
import { clockTime, moment, type View } from '../view.ts';
import { action, address, code, facts, pill, table, title, type Fact, type Tone } from './parts.ts';

/** One credential: how long it still lives, when it is refreshed, and how regularly that has happened. */

type Credential = DashboardData['status']['components'][number]['credentials'][number];

const DAY = { ms: 86_400_000, steps: 2 };
const WEEK = { ms: 7 * DAY.ms, steps: 2 };
/** Labels need room: the chart of a young installation has all of the width, one of two has half. */
const DIVISIONS = { alone: [3, 4, 5], besides: [2, 3] };
/** Rows of the table that goes with a chart. */
const ROWS = 30;

export function credentialPanel(
  view: View,
  subject: string,
  credential: Credential,
  past: Pick<CredentialHistory, 'entries' | 'refusedBy'> | undefined,
): Html {
  const { words } = view;
  const { kind } = credential;
  const history = past?.entries;
  const refresh = address('/dashboard/refresh', { kind, subject });
  // One that is used once is never refreshed, but made anew.
  const canRefresh = view.mayAct(subject) && kind !== 'pre_auth_code';
  return html`<article class="card" id="${kind}-${subject}">
    <header>
      ${title(words.kind[kind], kind)} ${pill(toneOf(credential), words.state[credential.state])}
      ${canRefresh ? action(refresh, words.refreshNow, kind) : undefined}
    </header>
    ${countdown(view, credential)} ${facts(factsOf(view, credential, past?.refusedBy))}
    ${lastError(view, credential)}
    ${history === undefined ? html`<p>${words.notReadable}</p>` : intervals(view, kind, history)}
  </article>`;
}

export function toneOf({ state, reason }: Credential): Tone {
  if (state === 'fresh') return 'ok';
  if (state === 'due' || reason === 'handed_out') return 'quiet';
  return state === 'urgent' ? 'warn' : 'bad';
}

function countdown(view: View, credential: Credential): Html | undefined {
  const { words, now, language } = view;
  const { obtained_at: obtained, expires_at: expires, due_at: due, reason, live } = credential;
  if (reason === 'handed_out') return html`<p class="reading">${words.handedOut}</p>`;
  if (obtained === null || expires === null || due === null) return undefined;
  const [from, to, windowFrom] = [obtained, expires, due].map((at) => Date.parse(at)) as [
    number,
    number,
    number,
  ];
  const life = Math.max(1, to - from);
  const age = duration(now - from, language);
  const label = live ? words.barText(age, duration(to - now, language)) : words.barDead(age);
  // What was called dead has no window any more: it is due at once.
  const windowAt = windowFrom > now || windowFrom > from ? (windowFrom - from) / life : 1;
  return html`<figure>
    ${countdownBar(label, toneOf(credential), (now - from) / life, windowAt)}
    <p class="scale three">
      <span>${words.barAge} <span class="together">${age}</span></span>
      <span
        >${words.barWindow}
        ${windowFrom <= now ? words.windowOpen : html`${words.windowOpens} ${moment(view, due)}`}
      </span>
      <span>${to > now ? words.barExpiry : words.barOver} ${moment(view, expires)}</span>
    </p>
  </figure>`;
}

function factsOf(view: View, credential: Credential, by: RefusedBy | undefined): Fact[] {
  const { words } = view;
  const { calls_today: calls, calls_allowed_a_day: allowed, last_refused: refused } = credential;
  return [
    [words.nextRefresh, moment(view, credential.next_refresh_at)],
    [
      words.callsToday,
      allowed === null
        ? html`${calls}`
        : html`${words.callsOf(calls, allowed)}
            <meter
              min="0"
              max="${allowed}"
              low="${allowed / 2}"
              high="${allowed * 0.9}"
              optimum="0"
              value="${Math.min(calls, allowed)}"
              aria-label="${words.callsToday}"
            >
              ${calls}
            </meter>`,
    ],
    refused === null
      ? undefined
      : [
          words.replaced,
          html`${moment(view, refused.at)}
          ${refused.by === null ? undefined : html`<span class="by">${complaintOf(view, by) ?? refused.by}</span>`}`,
        ],
  ];
}

/** Undefined when it was no caller of ours. */
function complaintOf({ words }: View, by: RefusedBy | undefined): string | undefined {
  if (by === undefined || !('caller' in by)) return undefined;
  const { caller, errcode } = by;
  return errcode === undefined ? words.askedForBy(caller) : words.reportedBy(errcode, caller);
}

function lastError(view: View, credential: Credential): Html | undefined {
  const { words } = view;
  const error = credential.last_error;
  if (error === null) return undefined;
  const { failures_in_a_row: failures } = credential;
  const over = failures === 0;
  const { errcode, rid } = error;
  return html`<div class="error ${over ? 'over' : 'open'}">
    <p>
      <strong>${words.lastError}</strong>
      ${moment(view, error.at)}${over ? html` · ${words.errorOver}` : html` ${pill('bad', words.failures(failures))}`}
    </p>
    <p>${error.message}</p>
    ${over ? undefined : html`<p class="advice">${error.advice}</p>`}
    ${
      errcode === undefined && rid === undefined
        ? undefined
        : html`<p class="ids">
            ${errcode === undefined ? undefined : html`${words.errcode} ${code(String(errcode))}`}
            ${rid === undefined ? undefined : html`${words.rid} ${code(rid)}`}
          </p>`
    }
  </div>`;
}

function intervals(view: View, kind: string, history: readonly HistoryEntry[]): Html {
  const { words, now } = view;
  const all = refreshIntervals(history, now, WEEK.ms);
  // The first value of all is no refresh, and a chart of none would be an empty one.
  if (all.length === 0) return html`<p class="reading">${words.intervalsNone}</p>`;
  const day = refreshIntervals(history, now, DAY.ms);
  const { top, unit } = scaleOf(all);
  const title = words.intervals(unit);
  const figures = unit === 's' ? top * 60 : top;
  const chart = (caption: string, some: typeof day, span: Span) => {
    const text = reading(view, some);
    const label = `${title}, ${caption}: ${text}`;
    return html`<figure>
      <figcaption>${caption}</figcaption>
      <div class="plot">
        <p class="axis" aria-hidden="true">
          <span>${figures}</span><span>${figures / 2}</span><span>0</span>
        </p>
        ${intervalChart({ label, intervals: some, now, spanMs: span.ms, max: top })}
      </div>
      ${scaleBelow(view, span)}
      <p class="reading">${text}</p>
    </figure>`;
  };
  const first = firstMoment(history, now);
  const ofDay = spanOf(first, now, DAY, DIVISIONS.alone);
  const ofWeek = spanOf(first, now, WEEK, DIVISIONS.besides);
  // Of what is younger than a day, two charts would show the same.
  const drawn = ofDay.young
    ? chart(words.sinceTheFirst, all, ofDay)
    : html`${chart(words.last24h, day, ofDay)}
      ${chart(ofWeek.young ? words.sinceTheFirst : words.last7d, all, ofWeek)}`;
  return html`<h4>${title}</h4>
    <div class="charts">${drawn}</div>
    ${day.length === 0 ? undefined : intervalTable(view, kind, unit, day)}`;
}

/** A person may have written anything into Redis: what lies ahead of us has not been. */
function firstMoment(history: readonly HistoryEntry[], now: number): number | undefined {
  const past = history.map(({ obtainedAt }) => obtainedAt).filter((at) => at <= now);
  return past.length === 0 ? undefined : Math.min(...past);
}

function reading({ words, language }: View, some: ReturnType<typeof refreshIntervals>): string {
  if (some.length === 0) return words.intervalsNoneThen;
  const minutes = some.map((one) => one.minutes);
  const mean = minutes.reduce((sum, one) => sum + one, 0) / minutes.length;
  const length = (value: number) => duration(value * 60_000, language);
  const early = some.filter(isUnplanned).length;
  return [
    words.intervalsText(some.length, length(mean), length(Math.max(...minutes))),
    ...(early === 0 ? [] : [words.intervalsEarly(early, some.length)]),
  ].join(' · ');
}

function reasonOf({ words }: View, { reason }: { reason: string }): string {
  const { reasons } = words;
  return Object.hasOwn(reasons, reason) ? reasons[reason as keyof typeof reasons] : reason;
}

function intervalTable(
  view: View,
  kind: string,
  unit: 's' | 'min',
  day: ReturnType<typeof refreshIntervals>,
): Html {
  const { words } = view;
  const rows = day
    .slice(0, ROWS)
    .map((one) => [
      clockTime(view, one.at),
      duration(one.minutes * 60_000, view.language),
      isUnplanned(one) ? html`<strong>${reasonOf(view, one)}</strong>` : reasonOf(view, one),
      one.replica,
    ]);
  const heads = [words.refreshedAt, words.interval, words.reason, words.replica];
  return html`<details>
    <summary>${words.intervalsTable}</summary>
    ${table(`${words.intervals(unit)}: ${kind}`, heads, rows)}
  </details>`;
}
