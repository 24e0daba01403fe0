import type { DashboardData } from '../../../status/dashboard.ts';
import type { Problem } from '../../../status/schema.ts';
import { html, type Html } from '../../pages/html.ts';
import { moment, sentence, type View } from '../view.ts';
import { code, facts, type Fact } from './parts.ts';

/** The first thing seen: whether all is well, and if not, what is wrong, since when, and what to do. */

type Level = 'ok' | Problem['severity'];

export function verdictPanel(view: View, data: DashboardData): Html {
  const { status } = data;
  const level: Level = status.problems[0]?.severity ?? 'ok';
  return html`<section class="verdict ${level}" id="verdict" aria-labelledby="verdict-title">
      <div class="sentence" role="status">
        ${ICONS[level]}
        <h1 id="verdict-title">
          <span class="unseen">${view.words.severity[level]}: </span>${status.summary}
        </h1>
      </div>
      ${facts(glance(view, data))}
    </section>
    ${status.problems.length === 0 ? undefined : problemList(view, status.problems)}`;
}

/** The gravest ones; a cause shared by hundreds of accounts need not be read hundreds of times. */
const SHOWN = 30;

function problemList(view: View, problems: readonly Problem[]): Html {
  const left = problems.length - SHOWN;
  const more = left > 0 ? html`<p>${view.words.moreProblems(left)}</p>` : undefined;
  return html`<section class="problems" id="problems" aria-label="${view.words.problems}">
    ${problems.slice(0, SHOWN).map((one) => problem(view, one))} ${more}
  </section>`;
}

function problem(view: View, { severity, title, component, kind, since, ...rest }: Problem): Html {
  const { words } = view;
  const kinds = kind === null ? undefined : code(kind);
  const where = component === null ? html`${words.allPlatforms}` : code(component);
  return html`<article class="problem ${severity}">
    <header>
      <span class="level">${ICONS[severity]}${words.severity[severity]}</span>
      <h2>${title}</h2>
      <p class="where">${where} ${kinds}</p>
      ${
        since === null ? undefined : html`<p class="when">${words.since} ${moment(view, since)}</p>`
      }
    </header>
    <p>${sentence(view, rest.message)}</p>
    <p class="advice"><strong>${words.whatToDo}</strong> ${rest.advice}</p>
  </article>`;
}

/** A few figures that tell a healthy service from one that has just begun. */
function glance(view: View, { status }: DashboardData): Fact[] {
  const { words } = view;
  const credentials = [...status.components, ...status.accounts].flatMap((one) => one.credentials);
  const tickets = status.components.map(({ ticket }) => ticket.received_at);
  const known = status.components.reduce((sum, one) => sum + one.authorizers.known, 0);
  const running = status.replicas.filter(({ state }) => state === 'running').length;
  const lasting = credentials.filter(({ kind }) => kind !== 'pre_auth_code');
  const next = lasting
    .map((one) => one.next_refresh_at)
    .filter((at) => at !== null)
    .sort()[0];
  if (status.redis.state !== 'ready') return [];
  const oldest = tickets.includes(null) ? null : [...tickets].sort()[0];
  return [
    tickets.length === 0 ? undefined : [words.glance.ticket, moment(view, oldest)],
    lasting.length === 0
      ? undefined
      : [
          words.glance.live,
          words.ofCount(lasting.filter(({ live }) => live).length, lasting.length),
        ],
    next === undefined ? undefined : [words.glance.next, moment(view, next)],
    tickets.length === 0 ? undefined : [words.glance.authorizers, known.toLocaleString('en')],
    [words.glance.replicas, String(running)],
  ];
}

const icon = (path: Html) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">${path}</svg>`;

/** Shapes, so that colour is never the only difference. */
const ICONS: Readonly<Record<Level, Html>> = {
  ok: icon(html`<circle cx="12" cy="12" r="10" /><path d="M7 12.5l3.5 3.5L17 9" />`),
  critical: icon(
    html`<path class="solid" d="M8 2h8l6 6v8l-6 6H8l-6-6V8z" /><path d="M8.5 8.5l7 7m0-7l-7 7" />`,
  ),
  warning: icon(html`<path class="solid" d="M12 2.5L22.5 21h-21z" /><path d="M12 9v6m0 2.6v.6" />`),
  info: icon(html`<circle cx="12" cy="12" r="10" /><path d="M12 11v6m0-9.6v.6" />`),
};
