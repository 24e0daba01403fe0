import type { DashboardData } from '../../../status/dashboard.ts';
import { AUTHORIZER_STATES, type AuthorizerState } from '../../../store/authorizers/profile.ts';
import type { describeAuthorizers } from '../../internal/authorizer-view.ts';
import { duration } from '../../../lib/time-format.ts';
import { html, type Html, type Part } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { action, address, code, cut, facts, pill, table, type Tone } from './parts.ts';

/** Who has authorized a platform: figures, search, and one page of the list. */

type Component = DashboardData['status']['components'][number];
type Status = Component['authorizers'];
type Row = Awaited<ReturnType<typeof describeAuthorizers>>[number];

/** What the address of the page asks for. */
export interface AuthorizerSearch {
  component: string;
  search: string;
  state: AuthorizerState | undefined;
  after: string;
}

/** One page of the list; undefined when it cannot be read right now. */
export type AuthorizerList = { rows: readonly Row[]; next: string | undefined } | undefined;

export const PAGE_SIZE = 50;
const TONES: Readonly<Record<AuthorizerState, Tone>> = {
  authorized: 'ok',
  reauthorize: 'bad',
  unexchanged: 'warn',
  revoked: 'quiet',
};
const MAX_NAME = 60;

export function authorizersPanel(
  view: View,
  { appid: component, authorizers: status }: Component,
  { asked, list }: { asked: AuthorizerSearch; list: AuthorizerList | 'keep' },
): Html {
  const { words } = view;
  const here = asked.component === component;
  // The list on the screen stays as it is.
  if (here && list === 'keep') {
    return html`<article id="authorizers-${component}" data-keep></article>`;
  }
  const { reconciliation, refresh_backlog: backlog } = status;
  const compare = address('/dashboard/reconcile', { subject: component });
  const behind = backlog.behind_seconds;
  return html`<article class="card wide authorizers" id="authorizers-${component}">
    <header>
      <h3>${words.authorizers}</h3>
      ${view.mayAct(component) ? action(compare, words.reconcileNow, component) : undefined}
    </header>
    ${facts([
      [words.authorizersKnown, status.known.toLocaleString('en')],
      [words.authorizersKept, status.kept.toLocaleString('en')],
      [
        words.authorizersDue,
        html`${backlog.due.toLocaleString('en')}${behind === 0 ? undefined : html` · ${words.behind(duration(behind * 1000, view.language))}`}`,
      ],
      status.codes_waiting === 0 ? undefined : [words.authorizersCodes, status.codes_waiting],
      [words.reconciliation, compared(view, reconciliation)],
    ])}
    ${status.known === 0 ? html`<p class="reading">${words.noneYet}</p>` : here && list !== 'keep' ? found(view, asked, list) : elsewhere(view, component)}
  </article>`;
}

function compared(view: View, run: Status['reconciliation']): Html {
  const { words } = view;
  const progress =
    run.state === 'running' || run.state === 'waiting'
      ? html` ${run.offset.toLocaleString('en')}${run.total === null ? undefined : ` / ${run.total.toLocaleString('en')}`}`
      : undefined;
  const last =
    run.last_completed_at === null ? undefined : html` · ${moment(view, run.last_completed_at)}`;
  const error = run.last_error === null ? undefined : html` · ${cut(run.last_error, 200)}`;
  return html`${words.reconcileState[run.state]}${progress}${last}${error}`;
}

/** The list of one platform at a time: those of several would make a page of megabytes. */
function elsewhere(view: View, component: string): Html {
  return searchForm(view, { component, search: '', state: undefined, after: '' });
}

function found(view: View, asked: AuthorizerSearch, list: AuthorizerList): Html {
  const { words } = view;
  const { component } = asked;
  return html`${searchForm(view, asked)}
  ${
    list === undefined
      ? html`<p class="reading">${words.notReadable}</p>`
      : list.rows.length === 0
        ? html`<p class="reading">${words.noneFound}</p>`
        : html`${rows(view, component, list.rows)} ${paging(view, asked, list.next)}`
  }`;
}

function searchForm({ words }: View, asked: AuthorizerSearch): Html {
  const { component } = asked;
  const filtered = asked.search !== '' || asked.state !== undefined;
  const selected = (state: AuthorizerState) =>
    state === asked.state
      ? html`<option value="${state}" selected>${words.authorizerState[state]}</option>`
      : html`<option value="${state}">${words.authorizerState[state]}</option>`;
  return html`<form class="search" method="get" action="/#authorizers-${component}" role="search">
    <input type="hidden" name="component" value="${component}" />
    <label for="search-${component}">${words.search}</label>
    <input
      type="search"
      id="search-${component}"
      name="search"
      value="${asked.search}"
      maxlength="100"
      autocomplete="off"
    />
    <label for="state-${component}">${words.stateFilter}</label>
    <select id="state-${component}" name="state">
      <option value="">${words.anyState}</option>
      ${AUTHORIZER_STATES.map(selected)}
    </select>
    <button type="submit">${words.find}</button>
    ${filtered ? html`<a href="/#authorizers-${component}">${words.clear}</a>` : undefined}
  </form>`;
}

function rows(view: View, component: string, list: readonly Row[]): Html {
  const { words } = view;
  const heads = [words.name, words.appid, words.stateFilter, words.token, ''];
  return table(
    words.authorizers,
    heads,
    list.map((one) => [
      name(view, one),
      code(one.appid),
      pill(TONES[one.state], words.authorizerState[one.state]),
      token(view, one),
      refresh(view, component, one),
    ]),
  );
}

function name({ words }: View, { nick_name: nick, principal_name: principal, type }: Row): Html {
  const kind = type === null ? undefined : words.authorizerType[type];
  const more = [kind, principal === '' ? undefined : cut(principal, MAX_NAME)]
    .filter((one) => one !== undefined)
    .join(' · ');
  return html`<span class="name">${nick === '' ? '–' : cut(nick, MAX_NAME)}</span>
    ${more === '' ? undefined : html`<span class="by">${more}</span>`}`;
}

function token(view: View, { token: held, state }: Row): Part {
  const { words } = view;
  if (held === null) return '–';
  const error = held.last_error;
  const live = held.expires_at !== null;
  if (live && error === null) return html`${words.ends} ${moment(view, held.expires_at)}`;
  const tone: Tone = state === 'revoked' ? 'quiet' : live ? 'warn' : 'bad';
  return html`${pill(tone, words.state[held.state])}
  ${error === null ? undefined : html`<span class="by">${cut(error.message, 200)}${error.rid === undefined ? undefined : html` ${words.rid} ${code(error.rid)}`}</span>`}`;
}

function refresh(view: View, component: string, { appid, state }: Row): Html | undefined {
  if (state !== 'authorized' || !(view.mayAct(component) || view.mayAct(appid))) return undefined;
  const subject = `${component}:${appid}`;
  const path = address('/dashboard/refresh', { kind: 'authorizer_access_token', subject });
  return html`<a href="${path}">${view.words.refreshNow}<span class="unseen"> ${appid}</span></a>`;
}

function paging({ words }: View, asked: AuthorizerSearch, next: string | undefined): Html {
  const { component, search, state } = asked;
  const query = {
    component,
    ...(search === '' ? {} : { search }),
    ...(state === undefined ? {} : { state }),
  };
  const place = `#authorizers-${component}`;
  const first =
    asked.after === ''
      ? undefined
      : html`<a href="${address('/', query)}${place}">${words.firstPage}</a>`;
  const more =
    next === undefined
      ? undefined
      : html`<a href="${address('/', { ...query, after: next })}${place}">${words.nextPage}</a>`;
  return html`<p class="paging">${first} ${more}</p>`;
}
