import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { reportInvalid } from '../../credentials/report-invalid.ts';
import { asKeeperError, KeeperError } from '../../lib/errors.ts';
import { askForTickets } from '../../tickets/request-push.ts';
import type { CredentialId, CredentialKindName } from '../../store/redis/keys.ts';
import { routesOf } from '../../deliveries/matching.ts';
import { explain } from '../explain.ts';
import { moveDeadLetters, resumeRoute } from '../internal/handlers/deliveries.ts';
import { html } from '../pages/html.ts';
import { sendPage } from '../pages/page.ts';
import {
  chooseLanguage,
  entryOfPage,
  holds,
  requireOwnForm,
  requireSession,
  sessionIn,
  setHeaders,
} from './guard.ts';
import { dashboardPage } from './layout.ts';
import { formBody } from './login.ts';
import { leaveNotice, type Outcome } from './notice.ts';
import type { DashboardOptions } from './options.ts';
import { chosenLanguage, WORDS } from './view.ts';

/** What an admin can do from the dashboard. Each asks once more, on a page of its own. */

const ACTIONS = ['refresh', 'tickets', 'reconcile', 'resume', 'replay', 'discard'] as const;
/** Those about a delivery route of a component. */
const OF_ROUTES: readonly ActionName[] = ['resume', 'replay', 'discard'];
type ActionName = (typeof ACTIONS)[number];

interface Action {
  name: ActionName;
  /** An appid, or `<component>:<authorizer>`. */
  subject: string;
  /** Only of a credential that is refreshed. */
  kind: CredentialKindName | undefined;
  /** Only of deliveries. */
  route: string | undefined;
}

export function actionRoutes(options: DashboardOptions): Router {
  const router = express.Router();
  const session = requireSession(options);
  for (const name of ACTIONS) {
    const path = `/dashboard/${name}`;
    router.get(path, setHeaders, chooseLanguage, session, (request, response) => {
      confirm(request, response, readAction(options, name, request.query, response));
    });
    router.post(path, ...[setHeaders, session, formBody, requireOwnForm], perform(options, name));
  }
  return router;
}

function perform(options: DashboardOptions, name: ActionName): RequestHandler {
  return async (request, response) => {
    const action = readAction(options, name, request.body, response);
    const { subject, kind } = action;
    const caller = sessionIn(response).key.id;
    const entry = { ...entryOfPage(request, sessionIn(response)), kind };
    const what = describe(action);
    try {
      const outcome = await run(options, action, caller);
      options.audit.done({ ...entry, result: outcome });
      leaveNotice(request, response, { outcome, what });
    } catch (thrown) {
      const error = asKeeperError(thrown);
      options.audit.done({ ...entry, result: error.code });
      const fields = { action: name, kind, subject, code: error.code };
      if (error.code === 'internal')
        options.log.error('an action failed', { ...fields, error: thrown });
      else options.log.warn('an action was refused', { ...fields, error });
      leaveNotice(request, response, { failed: error.code, what });
    }
    response.redirect(303, '/');
  };
}

/** @throws KeeperError as the same route of the API does */
async function run(options: DashboardOptions, action: Action, caller: string): Promise<Outcome> {
  const { name, subject, kind, route = '' } = action;
  switch (name) {
    case 'refresh': {
      // The page that follows says what came of it, and never the value.
      const complaint = { seq: undefined, errcode: undefined, caller, mayRead: false };
      const id = { kind, subject } as CredentialId;
      return (await reportInvalid(options.reading, id, complaint)).outcome;
    }
    case 'tickets':
      await askForTickets(options.operations, subject, caller).catch(explain);
      return 'asked';
    case 'reconcile':
      await options.authorizers.reconciler.request(subject);
      return 'requested';
    case 'resume':
      await resumeRoute(options.deliveries, subject, route);
      return 'resumed';
    case 'replay':
      await moveDeadLetters(options.deliveries, subject, route, name);
      return 'replayed';
    case 'discard':
      await moveDeadLetters(options.deliveries, subject, route, name);
      return 'discarded';
  }
}

/** @throws KeeperError `not_found`, `forbidden` */
function readAction(
  options: DashboardOptions,
  name: ActionName,
  fields: unknown,
  response: Response,
): Action {
  const { subject, kind, route } = (fields ?? {}) as Readonly<Record<string, unknown>>;
  const action = {
    name,
    subject,
    kind: name === 'refresh' ? kind : undefined,
    route: OF_ROUTES.includes(name) ? route : undefined,
  } as Action;
  // Before it is looked for: who may not act on an account learns not even whether it is known.
  const appids = typeof subject === 'string' ? subject.split(':') : [];
  if (!holds(sessionIn(response), 'admin', ...appids)) {
    throw new KeeperError('forbidden', 'This API key lacks the scope admin here.');
  }
  if (typeof subject !== 'string' || !isKnown(options, action)) {
    throw new KeeperError('not_found', 'No such account or credential is kept here.');
  }
  return action;
}

function isKnown({ reading, authorizers, deliveries }: DashboardOptions, action: Action): boolean {
  const { name, subject, kind, route } = action;
  if (OF_ROUTES.includes(name)) {
    const known = deliveries.components.includes(subject);
    return known && routesOf(deliveries.routes, subject).some((one) => one.name === route);
  }
  if (name !== 'refresh') return authorizers.components.includes(subject);
  if (typeof kind !== 'string') return false;
  const known = reading.keeper.kindOf({ kind, subject });
  return known !== undefined && !known.singleUse;
}

function describe({ kind, route, subject }: Action): string {
  if (route !== undefined) return `${route} (${subject})`;
  return kind === undefined ? subject : `${kind} (${subject})`;
}

function confirm(request: Request, response: Response, action: Action): void {
  const { name, subject, kind, route } = action;
  const about = kind ?? route;
  const language = chosenLanguage(request);
  const words = WORDS[language];
  const session = sessionIn(response);
  const title = words.confirmTitle[name];
  const field = kind === undefined ? 'route' : 'kind';
  const aboutField =
    about === undefined
      ? undefined
      : html`<input type="hidden" name="${field}" value="${about}" />`;
  const form = html`<div class="alone">
    <form class="card" method="post" action="/dashboard/${name}">
      <h1>${title}</h1>
      <p>
        ${about === undefined ? undefined : html`<code>${about}</code> `}<code>${subject}</code>
      </p>
      <p>${words.confirmText[name]}</p>
      <input type="hidden" name="csrf" value="${session.csrf}" />
      <input type="hidden" name="subject" value="${subject}" />
      ${aboutField}
      <p class="row">
        <button class="primary">${words.confirmButton[name]}</button>
        <a class="button" href="/">${words.cancel}</a>
      </p>
    </form>
  </div>`;
  sendPage(response, 200, dashboardPage(request, { language, title, session, body: [form] }));
}
