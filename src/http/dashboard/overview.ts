import type { Request, RequestHandler } from 'express';
import { configuredIds } from '../../credentials/catalog.ts';
import { KeeperError } from '../../lib/errors.ts';
import { readDashboard, readMemory, type DashboardData } from '../../status/dashboard.ts';
import { AUTHORIZER_STATES, findAuthorizers } from '../../store/authorizers/profile.ts';
import { APPID } from '../../config/appid.ts';
import { visibleTo } from '../internal/caller.ts';
import { describeAuthorizers } from '../internal/authorizer-view.ts';
import { html, type Html } from '../pages/html.ts';
import { sendPage } from '../pages/page.ts';
import { holds, isRefresh, sessionIn } from './guard.ts';
import { dashboardPage } from './layout.ts';
import { noticePanel, takeNotice } from './notice.ts';
import type { DashboardOptions } from './options.ts';
import { PAGE_SIZE, type AuthorizerList, type AuthorizerSearch } from './panels/authorizers.ts';
import { memoryPanel } from './panels/memory.ts';
import { layoutsPanel } from './panels/layouts.ts';
import { jobsPanel, replicasPanel } from './panels/service.ts';
import {
  accountPanels,
  platformPanels,
  platformsInFull,
  platformTable,
} from './panels/component-panel.ts';
import { verdictPanel } from './panels/verdict.ts';
import { chosenLanguage, WORDS, type View } from './view.ts';

/** The one page with everything on it, what is broken first. */

const MAX_SEARCH = 100;

export function serveOverview(options: DashboardOptions): RequestHandler {
  return async (request, response) => {
    const session = sessionIn(response);
    const language = chosenLanguage(request);
    const status = visibleTo(response, options.status);
    const again = isRefresh(request);
    const notice = again ? undefined : takeNotice(request, response);
    const data = await readDashboard(status, language);
    const view: View = {
      language,
      words: WORDS[language],
      now: data.now,
      mayAct: (appid) => holds(session, 'admin', appid),
    };
    const asked = readSearch(request, data);
    // A search looks at every authorizer: not every 15 seconds.
    const keep = again && (asked.search !== '' || asked.state !== undefined);
    const list = keep ? 'keep' : await findPage(options, asked);
    const body = [
      noticePanel(view.words, notice),
      verdictPanel(view, data),
      ...panels({ ...options, status }, view, data, { asked, list }),
    ];
    const title = `${data.status.summary} · wxkeeper`;
    const page = { language, title, session, live: view, body };
    sendPage(response, 200, dashboardPage(request, page));
  };
}

function panels(
  options: DashboardOptions,
  view: View,
  data: DashboardData,
  authorizers: { asked: AuthorizerSearch; list: AuthorizerList | 'keep' },
): readonly (Html | undefined)[] {
  const { status } = data;
  // One that cannot be drawn must not take the page with it.
  const panel = (name: string, draw: () => Html | undefined) => {
    try {
      return draw();
    } catch (error) {
      options.log.error('a panel of the dashboard could not be drawn', { panel: name, error });
      return html`<article class="card"><p>${view.words.notReadable}</p></article>`;
    }
  };
  if (status.redis.state !== 'ready') {
    const { components, accounts } = options.status;
    const ids = configuredIds({
      components: components.map((one) => ({ ...one, appsecret: '' })),
      accounts,
    });
    const remembered = readMemory(options.reading.memory, ids);
    return [
      panel('memory', () => memoryPanel(view, remembered, status.tickets_waiting_for_redis)),
      panel('replicas', () => replicasPanel(view, status)),
    ];
  }
  const nothing = status.components.length + status.accounts.length === 0;
  return [
    nothing ? html`<p>${view.words.nothingToSee}</p>` : undefined,
    panel('platforms', () => platformTable(view, status.components)),
    ...platformsInFull(status.components, authorizers.asked.component).map((one) =>
      panel('platform', () => platformPanels(view, data, one, authorizers)),
    ),
    panel('accounts', () => accountPanels(view, data)),
    panel('layouts', () => layoutsPanel(view, status)),
    panel('jobs', () => jobsPanel(view, status)),
    panel('replicas', () => replicasPanel(view, status)),
  ];
}

/** Whatever is odd in the address counts as not there. */
function readSearch(request: Request, { status }: DashboardData): AuthorizerSearch {
  const { component, search, state, after } = request.query;
  const appids = status.components.map(({ appid }) => appid);
  return {
    component: appids.find((appid) => appid === component) ?? appids[0] ?? '',
    search: typeof search === 'string' ? search.trim().slice(0, MAX_SEARCH) : '',
    state: AUTHORIZER_STATES.find((one) => one === state),
    after: typeof after === 'string' && APPID.test(after) ? after : '',
  };
}

async function findPage(
  { authorizers }: DashboardOptions,
  { component, search, state, after }: AuthorizerSearch,
): Promise<AuthorizerList> {
  if (component === '') return undefined;
  const { context } = authorizers;
  const wanted = search === '' ? undefined : search;
  const query = { after, limit: PAGE_SIZE, search: wanted, state };
  try {
    const { entries, next } = await findAuthorizers(context.store, component, query);
    return { rows: await describeAuthorizers(context, component, entries), next };
  } catch (error) {
    if (error instanceof KeeperError && error.code === 'store_unavailable') return undefined;
    throw error;
  }
}
