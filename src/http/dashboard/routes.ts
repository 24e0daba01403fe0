import express, { type ErrorRequestHandler, type Router } from 'express';
import { isRefusal } from '../internal/audit.ts';
import { fromHttp } from '../errors.ts';
import { requestIdOf } from '../request-response.ts';
import { html } from '../pages/html.ts';
import { actionRoutes } from './actions.ts';
import { chooseLanguage, entryOfPage, requireSession, setHeaders } from './guard.ts';
import { sendPage } from './layout.ts';
import { loginRoutes } from './login.ts';
import type { DashboardOptions } from './options.ts';
import { serveOverview } from './overview.ts';
import { SCRIPT } from './script.ts';
import type { Session } from './session.ts';
import { languageOf, WORDS } from './view.ts';
import type { Wording } from './wording/en.ts';

/** Pages for people, at `/` of the internal listener. */
export function dashboardRoutes(options: DashboardOptions): Router {
  const router = express.Router();
  const session = requireSession(options);
  router.get('/', setHeaders, chooseLanguage, session, serveOverview(options));
  router.get('/dashboard/refresh.js', setHeaders, (_request, response) => {
    response.set('Cache-Control', 'max-age=86400').type('text/javascript').send(SCRIPT);
  });
  router.use(loginRoutes(options));
  router.use(actionRoutes(options));
  router.use(pageErrors(options));
  return router;
}

const KINDS: Readonly<Record<number, keyof Wording['errorTitle']>> = {
  400: 'bad_request',
  403: 'forbidden',
  404: 'not_found',
};

function pageErrors({ log, audit }: DashboardOptions): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    if (response.headersSent) {
      next(thrown);
      return;
    }
    const error = fromHttp(thrown);
    const requestId = requestIdOf(response);
    const fields = { request_id: requestId, path: request.path, code: error.code };
    if (error.code === 'internal') log.error('page failed', { ...fields, error: thrown });
    else if (isRefusal(error, response)) {
      const session = response.locals.session as Session | undefined;
      audit.refused({
        ...entryOfPage(request, session),
        result: error.code,
        request_id: requestId,
      });
    } else log.debug('page refused', { ...fields, error });
    const language = languageOf(request);
    const words = WORDS[language];
    const kind = KINDS[error.status] ?? 'other';
    const number = kind === 'other' ? html`<p><code>${requestId}</code></p>` : undefined;
    const body = html`<div class="alone">
      <div class="card">
        <h1>${words.errorTitle[kind]}</h1>
        <p>${words.errorText[kind]}</p>
        ${number}
        <p><a class="button" href="/">${words.back}</a></p>
      </div>
    </div>`;
    const page = { view: { language }, title: words.errorTitle[kind], body: [body] };
    sendPage(request, response, error.status, page);
  };
}
