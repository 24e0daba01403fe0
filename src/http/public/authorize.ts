import express, { type Request, type Response } from 'express';
import type { Router } from 'express';
import type { Authorizations } from '../../authorizers/code-exchange/queue.ts';
import {
  openLink,
  wechatPages,
  type AuthorizationLink,
  type AuthorizationOrigins,
} from '../../authorizers/link.ts';
import type { ApiKey } from '../../config/api-keys.ts';
import { returnAddress, type AuthorizationResult } from '../../authorizers/return-urls.ts';
import type { Clock } from '../../lib/clock.ts';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { respondWith, type ErrorRenderer } from '../errors.ts';
import {
  authorizedPage,
  cancelledPage,
  expiredPage,
  failedPage,
  pendingPage,
  type NextSteps,
} from './pages/done.ts';
import { languageOf } from '../pages/language.ts';
import { sendPage } from '../pages/page.ts';
import { problemPage } from './pages/problem.ts';
import { deviceOf, startPage } from './pages/start.ts';
import { limitByAddress, limitByLink, limitCodes, type CodeLimit } from './visit-limits.ts';
import type { Language } from '../../lib/language.ts';

/** The merchant's way in: the page that leads to WeChat, and the one that WeChat leads back to. */

export interface LinkedComponent {
  appid: string;
  appsecret: string;
  returnUrls: readonly string[];
}

export interface AuthorizationPages {
  components: readonly LinkedComponent[];
  publicBaseUrl: string | undefined;
  wechatAuthorizationUrls: AuthorizationOrigins;
  clock: Clock;
  /** What the keys that made links are, to sign what comes of them. */
  apiKeys: readonly ApiKey[];
  /** A code that nobody else gets, for this link. @throws KeeperError when there is none right now */
  takePreAuthCode(
    component: string,
    link: AuthorizationLink,
  ): Promise<{ value: string; expiresInMs: number }>;
  /** Must take the same code twice: the page that waits loads itself again. */
  takeCode: Authorizations['takeCode'];
}

interface Visit {
  component: LinkedComponent;
  link: AuthorizationLink;
  /** The link as it stands in the address. */
  token: string;
  language: Language;
}

/** A merchant who is still at WeChat when the link ends may finish. */
const DONE_GRACE_MS = 2 * 60 * 60_000;
const STARTS_PER_LINK = 20;
/** A page that looks every five seconds at an authorization comes 120 times in ten minutes. */
const RETURNS_PER_LINK = 200;
/** Each start leads to one code at the most. */
const CODES_PER_LINK = STARTS_PER_LINK;
const VISITS_PER_ADDRESS = 300;
const RETRY_AFTER_SECONDS = 60;
/** protocol: `expires_in` is 600; up to an hour was seen. */
const DEFAULT_CODE_SECONDS = 600;
const MAX_CODE_SECONDS = 3600;
/** For those whose browser asks for no language: they are WeChat's merchants. */
const OTHERWISE: Language = 'zh';
const AUTH_CODE = /^[\x21-\x7E]{1,512}$/;

/** Serves everything below /authorize, and every answer of it as a page. */
export function authorizationPages(pages: AuthorizationPages, log: Log): Router {
  const router = express.Router();
  const byAddress = limitByAddress(VISITS_PER_ADDRESS);
  const codes = limitCodes(CODES_PER_LINK, pages.clock);
  const linkId = (response: Response) => visitOf(response).link.id;
  router.use('/authorize', (_request, response, next) => {
    response.set({
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'X-Robots-Tag': 'noindex',
      // WeChat compares the host that the visitor comes from with the configured one and refuses
      // those who come from nowhere; paths and queries, with link and code, stay here.
      'Referrer-Policy': 'strict-origin-when-cross-origin',
    });
    next();
  });
  router.get(
    '/authorize/:component',
    (request, response, next) => {
      response.locals.visit = openVisit(pages, request, 0);
      // A browser that is told so loads the page again when somebody wants to see it.
      if (isLoadedAhead(request)) response.status(503).end();
      else next();
    },
    limitByLink(STARTS_PER_LINK, linkId),
    byAddress,
    (request, response) => serveStart(pages, log, request, response),
  );
  router.get(
    '/authorize/:component/done',
    (request, response, next) => {
      response.locals.visit = openVisit(pages, request, DONE_GRACE_MS);
      next();
    },
    limitByLink(RETURNS_PER_LINK, linkId),
    byAddress,
    (request, response) => serveDone({ ...pages, codes }, log, request, response),
  );
  router.all(['/authorize/:component', '/authorize/:component/done'], (request, response) => {
    componentOf(pages, request);
    response.set('Allow', 'GET, HEAD');
    throw new KeeperError('method_not_allowed', 'GET');
  });
  router.use('/authorize', () => {
    throw new KeeperError('not_found', 'not found');
  });
  router.use('/authorize', respondWith(pageErrors(log)));
  return router;
}

async function serveStart(
  pages: AuthorizationPages,
  log: Log,
  request: Request,
  response: Response,
): Promise<void> {
  const visit = visitOf(response);
  const { component, link, language } = visit;
  const redirectUri = `${baseUrlOf(pages)}${addressOf(visit, '/done')}`;
  // HEAD must change nothing, and a code that was taken is used up.
  if (request.method === 'HEAD') {
    response.type('html').end();
    return;
  }
  const { value, expiresInMs } = await pages.takePreAuthCode(component.appid, link);
  log.info('a merchant was given a code to authorize with', {
    component: component.appid,
    link: link.id,
    key: link.madeBy,
    address: request.ip,
  });
  sendPage(
    response,
    200,
    startPage({
      language,
      wechat: wechatPages(pages.wechatAuthorizationUrls, link, value, redirectUri),
      bizAppid: link.bizAppid,
      device: deviceOf(request.get('user-agent') ?? ''),
      expiresInMs,
      expiresAt: pages.clock.now() + expiresInMs,
    }),
  );
}

async function serveDone(
  pages: AuthorizationPages & { codes: CodeLimit },
  log: Log,
  request: Request,
  response: Response,
): Promise<void> {
  const visit = visitOf(response);
  const { component, link, language } = visit;
  if (request.method === 'HEAD') {
    response.type('html').end();
    return;
  }
  const back = (result: AuthorizationResult, authorizer?: string) =>
    returnAddress(link, component.returnUrls, result, authorizer, signingOf(pages, link));
  const next = (result: AuthorizationResult): NextSteps => ({
    language,
    startAgain: pages.clock.now() < link.expiresAt ? addressOf(visit, '') : undefined,
    back: back(result),
  });
  const { auth_code: brought = '', expires_in: life } = request.query;
  if (brought === '') {
    sendPage(response, 200, cancelledPage(next('cancelled')));
    return;
  }
  const code = readCode(brought);
  pages.codes.admit(link.id, code);
  const outcome = await pages.takeCode(component.appid, code, readLife(life), link);
  log.debug('merchant came back from WeChat', {
    component: component.appid,
    link: link.id,
    outcome: outcome.did,
  });
  switch (outcome.did) {
    case 'authorized': {
      pages.codes.proved(link.id, code);
      const address = back('authorized', outcome.authorizer);
      if (address !== undefined) response.status(303).location(address).end();
      else sendPage(response, 200, authorizedPage(language, outcome.authorizer));
      return;
    }
    case 'pending':
      sendPage(response, 200, pendingPage(language));
      return;
    case 'expired':
      sendPage(response, 200, expiredPage(next('failed')));
      return;
    case 'failed':
      sendPage(response, 200, failedPage(next('failed'), outcome.error.errcode));
  }
}

function signingOf({ apiKeys, clock }: AuthorizationPages, { madeBy }: AuthorizationLink) {
  const key = madeBy === undefined ? undefined : apiKeys.find(({ id }) => id === madeBy);
  return { now: clock.now(), keyHash: key?.sha256 };
}

/** @throws KeeperError `unknown_component`, `link_invalid`, `link_expired` */
function openVisit(pages: AuthorizationPages, request: Request, graceMs: number): Visit {
  const component = componentOf(pages, request);
  const now = pages.clock.now();
  const { appid, appsecret } = component;
  const token = typeof request.query.link === 'string' ? request.query.link : '';
  const link = openLink(appsecret, appid, token, now, graceMs);
  return { component, link, token, language: link.language ?? languageOf(request, OTHERWISE) };
}

/** Nobody may ever look at a page that a browser fetches on suspicion: no code is spent on it. */
function isLoadedAhead(request: Request): boolean {
  return /\bprefetch\b/i.test(request.get('sec-purpose') ?? request.get('purpose') ?? '');
}

function visitOf(response: Response): Visit {
  return response.locals.visit as Visit;
}

/** Undefined when the link was not opened. */
function visitBegun(response: Response): Visit | undefined {
  return response.locals.visit as Visit | undefined;
}

/** @throws KeeperError `unknown_component` */
function componentOf(pages: AuthorizationPages, request: Request): LinkedComponent {
  const found = pages.components.find(({ appid }) => appid === request.params.component);
  if (found === undefined) throw new KeeperError('unknown_component', 'unknown component');
  return found;
}

/** The path of this merchant's start or done page. The link's text needs no encoding. */
function addressOf({ component, token }: Visit, page: '' | '/done'): string {
  return `/authorize/${component.appid}${page}?link=${token}`;
}

/** @throws KeeperError `not_configured` */
function baseUrlOf({ publicBaseUrl }: AuthorizationPages): string {
  if (publicBaseUrl !== undefined) return publicBaseUrl;
  throw new KeeperError('not_configured', 'PUBLIC_BASE_URL is not set.');
}

/** @throws KeeperError `bad_request` */
function readCode(code: unknown): string {
  // A "+" that was not encoded arrives as a space; a code has no spaces.
  const text = typeof code === 'string' ? code.replaceAll(' ', '+') : '';
  if (AUTH_CODE.test(text)) return text;
  throw new KeeperError('bad_request', 'auth_code is damaged');
}

function readLife(life: unknown): number {
  const seconds = typeof life === 'string' && /^\d{1,5}$/.test(life) ? Number(life) : 0;
  return seconds === 0 ? DEFAULT_CODE_SECONDS : Math.min(seconds, MAX_CODE_SECONDS);
}

function pageErrors(log: Log): ErrorRenderer<Request, Response> {
  return {
    log,
    sentences: {
      fault: 'authorization page failed',
      later: 'authorization page not served',
      refused: 'authorization page refused',
    },
    // The path only: link and code are in the query.
    fields: ({ code }, { baseUrl, path }, response) => {
      return { path: `${baseUrl}${path}`.slice(0, 100), code, link: visitBegun(response)?.link.id };
    },
    retryAfter: ({ status, retryAfterSeconds }) =>
      retryAfterSeconds ?? (status === 503 ? RETRY_AFTER_SECONDS : undefined),
    send(error, request, response) {
      const onDone = request.path.endsWith('/done');
      const language = visitBegun(response)?.language ?? languageOf(request, OTHERWISE);
      sendPage(response, error.status, problemPage(language, error, onDone));
    },
  };
}
