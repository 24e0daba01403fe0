import type { DashboardData } from '../../../status/dashboard.ts';
import { html, type Html } from '../../pages/html.ts';
import { moment, type View } from '../view.ts';
import { authorizersPanel, type AuthorizerList, type AuthorizerSearch } from './authorizers.ts';
import { credentialPanel, toneOf } from './credential.ts';
import { address, code, pill, table } from './parts.ts';
import { deliveriesPanel } from './deliveries.ts';
import { pushesPanel } from './pushes.ts';
import { ticketPanel, TICKET_TONES } from './ticket.ts';

/** Everything about one platform, and about the accounts of our own. */

type Component = DashboardData['status']['components'][number];
type Account = DashboardData['status']['accounts'][number];

/** Shown in full; of more than these, only those with problems, and all of them in a table. */
const IN_FULL = 6;

/** Those to be shown in full: of many, the one that was asked for and those with problems. */
export function platformsInFull(
  components: readonly Component[],
  asked: string,
): readonly Component[] {
  if (components.length <= IN_FULL) return components;
  const chosen = components.filter(({ appid }) => appid === asked);
  const others = components.filter((one) => one.problems.length > 0 && one.appid !== asked);
  return [...chosen, ...others].slice(0, IN_FULL);
}

export function platformTable(view: View, components: readonly Component[]): Html | undefined {
  if (components.length <= IN_FULL) return undefined;
  const { words } = view;
  const heads = [words.appid, words.ticket, words.credentials, words.authorizers];
  const rows = components.map(({ appid, ticket, credentials, authorizers }) => [
    html`<a href="${address('/', { component: appid })}"><code>${appid}</code></a>`,
    pill(TICKET_TONES[ticket.state], words.ticketState[ticket.state]),
    states(view, credentials),
    authorizers.known.toLocaleString('en'),
  ]);
  return html`<article class="card wide" id="platforms">
    <header><h2>${words.platforms}</h2></header>
    ${table(words.platforms, heads, rows)}
  </article>`;
}

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
    ${deliveriesPanel(view, component)} ${pushesPanel(view, component, data.events.get(appid))}
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
    ${credentials.map((one) => {
      const past = histories.find(({ kind }) => kind === one.kind);
      return credentialPanel(view, appid, one, past);
    })}
  </div>`;
}

function accountTable(view: View, accounts: readonly Account[]): Html {
  const { words } = view;
  const heads = [words.appid, words.credentials, words.nextRefresh];
  const rows = accounts.map(({ appid, credentials }) => [
    code(appid),
    states(view, credentials),
    moment(view, credentials.map((one) => one.next_refresh_at ?? '').sort()[0]),
  ]);
  return html`<article class="card wide" id="accounts">
    <header><h2>${words.accounts}</h2></header>
    ${table(words.accounts, heads, rows)}
  </article>`;
}

function states({ words }: View, credentials: Account['credentials']): Html {
  const each = credentials.map(
    (one) =>
      html`<span class="together"
        >${words.kind[one.kind]} ${pill(toneOf(one), words.state[one.state])}</span
      > `,
  );
  return html`<div class="row">${each}</div>`;
}
