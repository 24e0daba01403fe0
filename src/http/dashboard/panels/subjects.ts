import type { DashboardData } from '../../../status/dashboard.ts';
import { html, type Html } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { authorizersPanel, type AuthorizerList, type AuthorizerSearch } from './authorizers.ts';
import { credentialPanel, toneOf } from './credential.ts';
import { code, pill, table } from './parts.ts';
import { pushesPanel } from './pushes.ts';
import { ticketPanel } from './ticket.ts';

/** Everything about one platform, and about the accounts of our own. */

type Component = DashboardData['status']['components'][number];
type Account = DashboardData['status']['accounts'][number];

/** Accounts that are shown in full; of more than these, only those with problems and a table. */
const IN_FULL = 6;

export function platformPanels(
  view: View,
  data: DashboardData,
  component: Component,
  authorizers: { asked: AuthorizerSearch; list: AuthorizerList | 'keep' },
): Html {
  const { appid } = component;
  return html`<section class="subject" id="platform-${appid}">
    ${heading(view.words.platform, appid)} ${ticketPanel(view, component, data.tickets.get(appid))}
    ${credentials(view, data, component)} ${authorizersPanel(view, component, authorizers)}
    ${pushesPanel(view, component, data.events.get(appid))}
  </section>`;
}

export function accountPanels(view: View, data: DashboardData): Html | undefined {
  const { accounts } = data.status;
  if (accounts.length === 0) return undefined;
  const many = accounts.length > IN_FULL;
  const full = many
    ? accounts.filter(({ problems }) => problems.length > 0).slice(0, IN_FULL)
    : accounts;
  const panels = full.map(
    (account) =>
      html`<section class="subject" id="account-${account.appid}">
        ${heading(view.words.account, account.appid)} ${credentials(view, data, account)}
      </section>`,
  );
  return html`${panels}${many ? accountTable(view, accounts) : undefined}`;
}

function heading(what: string, appid: string): Html {
  return html`<header>
    <h2>${what}</h2>
    ${code(appid)}
  </header>`;
}

function credentials(view: View, data: DashboardData, { appid, credentials }: Account | Component) {
  const histories = data.histories.get(appid) ?? [];
  return html`<div class="cards">
    ${credentials.map((one) =>
      credentialPanel(view, appid, one, histories.find(({ kind }) => kind === one.kind)?.entries),
    )}
  </div>`;
}

function accountTable(view: View, accounts: readonly Account[]): Html {
  const { words } = view;
  const heads = [words.appid, words.credentials, words.stateFilter, words.nextRefresh];
  const rows = accounts.flatMap(({ appid, credentials }) =>
    credentials.map((one) => [
      code(appid),
      html`${words.kind[one.kind]}`,
      pill(toneOf(one), words.state[one.state]),
      moment(view, one.next_refresh_at),
    ]),
  );
  return html`<article class="card wide" id="accounts">
    <header><h2>${words.account}</h2></header>
    ${table(words.account, heads, rows)}
  </article>`;
}
