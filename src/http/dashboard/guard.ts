import type { Request, RequestHandler, Response } from 'express';
import { appidsFor, mayUse, type Scope } from '../../config/api-keys.ts';
import { KeeperError } from '../../lib/errors.ts';
import { shownAppids, type AuditEntry } from '../internal/audit.ts';
import { setCaller } from '../internal/caller.ts';
import type { DashboardOptions } from './options.ts';
import {
  renewSession,
  sameText,
  sessionsOf,
  setSession,
  writeCookie,
  type Session,
} from './session.ts';
import { LANGUAGE_COOKIE } from './view.ts';

/** Who may come in, and from where. */

const YEAR_SECONDS = 31_536_000;

/** What every answer of the dashboard says besides the policy of its page. */
export const setHeaders: RequestHandler = (_request, response, next) => {
  response.set({
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'X-Robots-Tag': 'noindex',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    // Nothing leaves for elsewhere. With "no-referrer" our own forms would come with Origin "null",
    // and could not be told from others' where there is no TLS.
    'Referrer-Policy': 'same-origin',
  });
  next();
};

/** Remembers the language that was chosen, and goes on to the page itself. */
export const chooseLanguage: RequestHandler = (request, response, next) => {
  const { lang, ...rest } = request.query;
  if (lang !== 'zh' && lang !== 'en') {
    next();
    return;
  }
  writeCookie(request, response, LANGUAGE_COOKIE, lang, YEAR_SECONDS);
  const query = Object.entries(rest).filter(
    (one): one is [string, string] => typeof one[1] === 'string',
  );
  const search = query.length === 0 ? '' : `?${new URLSearchParams(query).toString()}`;
  response.redirect(303, `${pathOf(request)}${search}`);
};

/** Begins with one slash: what begins with two names another host. */
export function pathOf({ path }: Request): string {
  return path.replace(/^\/+/, '/');
}

/** Lets those pass who have logged in with a key that may see the status. */
export function requireSession(options: DashboardOptions): RequestHandler {
  const { status, sessionSecret } = options;
  return async (request, response, next) => {
    const session = await currentSession(options, request);
    if (session === undefined || !maySee(session)) {
      response.redirect(
        303,
        request.method === 'GET' && request.path === '/' ? '/login' : '/login?over=1',
      );
      return;
    }
    response.locals.session = session;
    // Here, for every page that comes after: `visibleTo` shows nothing else.
    setCaller(response, { key: session.key, appids: appidsFor(session.key, 'status:read') });
    const now = status.clock.now();
    // What our script asks for every 15 seconds says nothing about a person.
    const cookie = isRefresh(request)
      ? undefined
      : renewSession(await sessionSecret.current(), session, now);
    if (cookie !== undefined) setSession(request, response, cookie, session.endsAt - now);
    next();
  };
}

/** Whether our own script asks, for a page that is there already. */
export function isRefresh(request: Request): boolean {
  return request.get('x-refresh') !== undefined;
}

/** The session that a request brings and that nobody has ended. A copy of an ended one is told about. */
export async function currentSession(
  { apiKeys, status, sessionSecret, endedSessions, audit }: DashboardOptions,
  request: Request,
): Promise<Session | undefined> {
  const secret = await sessionSecret.current();
  for (const session of sessionsOf(secret, apiKeys, request, status.clock.now())) {
    if (!(await endedSessions.has(session.id))) return session;
    audit.refused({ ...entryOfPage(request, session), result: 'session_ended' });
  }
  return undefined;
}

/** What the trail says of a request to the dashboard; whose session it is, if there is one. */
export function entryOfPage(request: Request, session: Session | undefined): AuditEntry {
  const fields = (request.body ?? {}) as { subject?: unknown };
  const subject = request.method === 'POST' ? fields.subject : request.query.subject;
  const { path } = (request.route ?? {}) as { path?: unknown };
  return {
    key: session?.key.id,
    scope: 'dashboard',
    route: `${request.method} ${typeof path === 'string' ? path : 'unmatched'}`,
    appids: typeof subject === 'string' ? shownAppids(subject.split(':', 2)) : [],
    address: request.ip,
    result: 'ok',
  };
}

/** After `requireSession`. */
export function sessionIn(response: Response): Session {
  return response.locals.session as Session;
}

export function maySee({ key }: Pick<Session, 'key'>): boolean {
  return appidsFor(key, 'status:read')?.length !== 0;
}

/** Whether a session's key holds a scope for any of these appids. */
export function holds({ key }: Session, scope: Scope, ...appids: readonly string[]): boolean {
  return mayUse(key, scope, appids);
}

/** Refuses forms that another site made. After `requireSession` and the body's parser. */
export const requireOwnForm: RequestHandler = (request, response, next) => {
  const { csrf } = (request.body ?? {}) as { csrf?: unknown };
  const ours = typeof csrf === 'string' && sameText(csrf, sessionIn(response).csrf);
  if (!ours || !isFromHere(request)) {
    throw new KeeperError('forbidden', 'This form was not sent from the dashboard.');
  }
  next();
};

/**
 * Whether a form was sent from a page of ours, as far as the browser says: by `Sec-Fetch-Site`, which
 * it sends over TLS and to this machine, else by `Origin`. Programs send neither.
 */
export function isFromHere(request: Request): boolean {
  const site = request.get('sec-fetch-site');
  if (site !== undefined) return site === 'same-origin';
  const origin = request.get('origin');
  if (origin === undefined) return true;
  const hosts = [request.get('host'), request.get('x-forwarded-host')];
  return URL.canParse(origin) && hosts.includes(new URL(origin).host);
}
