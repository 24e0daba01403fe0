import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { claimedId, findApiKey } from '../../config/api-keys.ts';
import { limitFailures } from '../internal/authentication.ts';
import { html } from '../pages/html.ts';
import { sendPage } from '../pages/page.ts';
import {
  chooseLanguage,
  currentSession,
  entryOfPage,
  isFromHere,
  maySee,
  requireOwnForm,
  requireSession,
  sessionIn,
  setHeaders,
} from './guard.ts';
import { dashboardPage } from './layout.ts';
import type { DashboardOptions } from './options.ts';
import { clearSession, createSession, SESSION_MS, setSession } from './session.ts';
import { chosenLanguage, WORDS } from './view.ts';
import type { Wording } from './wording/en.ts';

/** In with an API key, and out again. */

type Trouble = 'loginWrong' | 'loginNotAllowed' | 'loginTooMany' | 'loginForeign' | 'loginOver';

const STATUS: Readonly<Record<Trouble, number>> = {
  loginWrong: 401,
  loginNotAllowed: 403,
  loginTooMany: 429,
  loginForeign: 403,
  loginOver: 200,
};

export const formBody: RequestHandler = express.urlencoded({
  extended: false,
  limit: '2kb',
  inflate: false,
  parameterLimit: 10,
});

export function loginRoutes(options: DashboardOptions): Router {
  const { apiKeys, status, sessionSecret, endedSessions, audit } = options;
  const router = express.Router();
  const countFailure = limitFailures((request, response) => {
    response.set('Retry-After', '60');
    sendLogin(request, response, 'loginTooMany');
  });
  router.get('/login', setHeaders, chooseLanguage, async (request, response) => {
    const session = await currentSession(options, request);
    if (session !== undefined && maySee(session)) response.redirect(303, '/');
    else sendLogin(request, response, request.query.over === '1' ? 'loginOver' : undefined);
  });
  router.post('/login', setHeaders, formBody, async (request, response, next) => {
    const { key: presented } = (request.body ?? {}) as { key?: unknown };
    if (!isFromHere(request)) {
      audit.refused({ ...entryOfPage(request, undefined), result: 'forbidden' });
      sendLogin(request, response, 'loginForeign');
      return;
    }
    const text = typeof presented === 'string' ? presented.trim() : '';
    const key = findApiKey(apiKeys, text);
    if (key === undefined) {
      const claimed = claimedId(text);
      audit.refused({ ...entryOfPage(request, undefined), claimed, result: 'unauthorized' });
      void countFailure(request, response, (error?: unknown) => {
        if (error === undefined) sendLogin(request, response, 'loginWrong');
        else next(error);
      });
      return;
    }
    const entry = { ...entryOfPage(request, undefined), key: key.id };
    if (!maySee({ key })) {
      audit.refused({ ...entry, result: 'forbidden' });
      sendLogin(request, response, 'loginNotAllowed');
      return;
    }
    audit.done(entry);
    // The one that this browser had until now is in no cookie any more.
    const before = await currentSession(options, request);
    if (before !== undefined) await endedSessions.end(before.id, before.endsAt);
    const secret = await sessionSecret.current();
    const cookie = createSession(secret, key, status.clock.now());
    setSession(request, response, cookie, SESSION_MS);
    response.redirect(303, '/');
  });
  router.post(
    '/logout',
    ...[setHeaders, requireSession(options), formBody, requireOwnForm],
    async (request, response) => {
      const session = sessionIn(response);
      await endedSessions.end(session.id, session.endsAt);
      audit.done(entryOfPage(request, session));
      clearSession(request, response);
      response.redirect(303, '/login');
    },
  );
  return router;
}

function sendLogin(request: Request, response: Response, trouble?: Trouble): void {
  const language = chosenLanguage(request);
  const words = WORDS[language];
  const page = { language, title: words.loginTitle, body: [loginForm(words, trouble)] };
  const status = trouble === undefined ? 200 : STATUS[trouble];
  sendPage(response, status, dashboardPage(request, page));
}

function loginForm(words: Wording, trouble: Trouble | undefined) {
  const said =
    trouble === undefined
      ? undefined
      : html`<p class="wrong" id="trouble" role="alert">${words[trouble]}</p>`;
  return html`<div class="alone">
    <form class="card" method="post" action="/login">
      <h1>${words.loginTitle}</h1>
      <p>${words.loginText}</p>
      ${said}
      <div>
        <label for="key">${words.apiKey}</label>
        <input
          type="password"
          id="key"
          name="key"
          autocomplete="current-password"
          maxlength="256"
          required
          autofocus
        />
      </div>
      <p><button class="primary">${words.loginButton}</button></p>
    </form>
  </div>`;
}
