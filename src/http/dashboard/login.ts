import express, { type Request, type RequestHandler, type Response, type Router } from 'express';
import { findApiKey } from '../../api-keys.ts';
import { limitFailures } from '../authentication.ts';
import { html } from '../pages/html.ts';
import {
  chooseLanguage,
  isFromHere,
  maySee,
  requireOwnForm,
  requireSession,
  setHeaders,
} from './guard.ts';
import { sendPage } from './layout.ts';
import type { DashboardOptions } from './options.ts';
import { clearSession, createSession, sessionOf, setSession } from './session.ts';
import { languageOf, WORDS } from './view.ts';
import type { Wording } from './wording/en.ts';

/** In with an API key, and out again. */

type Trouble = 'loginWrong' | 'loginNotAllowed' | 'loginTooMany' | 'loginForeign' | 'loginOver';

const STATUS: Readonly<Record<Trouble, number>> = {
  ...{ loginWrong: 401, loginNotAllowed: 403, loginTooMany: 429, loginForeign: 403 },
  loginOver: 200,
};

export const formBody: RequestHandler = express.urlencoded({
  extended: false,
  limit: '2kb',
  inflate: false,
  parameterLimit: 10,
});

export function loginRoutes(options: DashboardOptions): Router {
  const { apiKeys, status, sessionSecret, log } = options;
  const router = express.Router();
  const countFailure = limitFailures((request, response) => {
    response.set('Retry-After', '60');
    sendLogin(request, response, 'loginTooMany');
  });
  router.get('/login', setHeaders, chooseLanguage, async (request, response) => {
    const session = sessionOf(await sessionSecret.current(), apiKeys, request, status.clock.now());
    if (session !== undefined && maySee(session)) response.redirect(303, '/');
    else sendLogin(request, response, request.query.over === '1' ? 'loginOver' : undefined);
  });
  router.post('/login', setHeaders, formBody, async (request, response, next) => {
    const { key: presented } = (request.body ?? {}) as { key?: unknown };
    if (!isFromHere(request)) {
      sendLogin(request, response, 'loginForeign');
      return;
    }
    const key = findApiKey(apiKeys, typeof presented === 'string' ? presented.trim() : '');
    if (key === undefined) {
      log.warn('wrong API key at the log-in', { address: request.ip });
      void countFailure(request, response, (error?: unknown) => {
        if (error === undefined) sendLogin(request, response, 'loginWrong');
        else next(error);
      });
      return;
    }
    if (!maySee({ key })) {
      sendLogin(request, response, 'loginNotAllowed');
      return;
    }
    log.info('logged in to the dashboard', { key: key.id, address: request.ip });
    const secret = await sessionSecret.current();
    setSession(request, response, createSession(secret, key, status.clock.now()));
    response.redirect(303, '/');
  });
  router.post(
    '/logout',
    ...[setHeaders, requireSession(options), formBody, requireOwnForm],
    (request, response) => {
      clearSession(request, response);
      response.redirect(303, '/login');
    },
  );
  return router;
}

function sendLogin(request: Request, response: Response, trouble?: Trouble): void {
  const language = languageOf(request);
  const words = WORDS[language];
  sendPage(request, response, trouble === undefined ? 200 : STATUS[trouble], {
    view: { language },
    title: words.loginTitle,
    body: [loginForm(words, trouble)],
  });
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
