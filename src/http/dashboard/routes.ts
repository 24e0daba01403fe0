import express, { type Request, type Response, type Router } from 'express';
import { isRefusal } from '../internal/audit.ts';
import { respondWith, type ErrorRenderer } from '../errors.ts';
import { requestIdOf } from '../request-response.ts';
import { html, type Html } from '../pages/html.ts';
import { sendPage } from '../pages/page.ts';
import { actionRoutes } from './actions.ts';
import { chooseLanguage, entryOfPage, requireSession, setHeaders } from './guard.ts';
import { dashboardPage } from './layout.ts';
import { loginRoutes } from './login.ts';
import type { DashboardOptions } from './options.ts';
import { serveOverview } from './overview.ts';
import { SCRIPT } from './script.ts';
import type { Session } from './session.ts';
import { chosenLanguage, WORDS } from './view.ts';
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
  router.use(respondWith(pageErrors(options)));
  return router;
}

const KINDS: Readonly<Record<number, keyof Wording['errorTitle']>> = {
  400: 'bad_request',
  403: 'forbidden',
  404: 'not_found',
};

function pageErrors({ log, audit }: DashboardOptions): ErrorRenderer<Request, Response> {
  return {
    log,
    sentences: { fault: 'page failed', refused: 'page refused' },
    fields: (error, { path }, response) => {
      return { request_id: requestIdOf(response), path, code: error.code, error };
    },
    tellRefusal(error, request, response) {
      if (!isRefusal(error, response)) return false;
      const session = response.locals.session as Session | undefined;
      const entry = entryOfPage(request, session);
      audit.refused({ ...entry, result: error.code, request_id: requestIdOf(response) });
      return true;
    },
    // A person tries again when they like.
    retryAfter: () => undefined,
    send({ status }, request, response) {
      const language = chosenLanguage(request);
      const kind = KINDS[status] ?? 'other';
      const title = WORDS[language].errorTitle[kind];
      const body = [errorCard(WORDS[language], kind, requestIdOf(response))];
      sendPage(response, status, dashboardPage(request, { language, title, body }));
    },
  };
}

function errorCard(words: Wording, kind: keyof Wording['errorTitle'], requestId: string): Html {
  return html`<div class="alone">
    <div class="card">
      <h1>${words.errorTitle[kind]}</h1>
      <p>${words.errorText[kind]}</p>
      ${kind === 'other' ? html`<p><code>${requestId}</code></p>` : undefined}
      <p><a class="button" href="/">${words.back}</a></p>
    </div>
  </div>`;
}
