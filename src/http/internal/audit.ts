import type { Request, RequestHandler } from 'express';
import { systemClock, type Clock } from '../../lib/clock.ts';
import { CREDENTIAL_KINDS } from '../../credentials/kinds/index.ts';
import type { ErrorCode, KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { APPID } from '../../config/appid.ts';
import { knownCaller, namedIn } from './caller.ts';
import { requestIdOf, type Answering, type Asked } from '../request-response.ts';
import type { Route } from './route.ts';

/**
 * The trail of the internal port: who was refused, and who did what only few may do, with the key, the
 * scope, the route, the appids, the peer and the result. Reads are too many for lines; they are counted.
 */

export interface AuditEntry {
  /** Id of the key; undefined where none was recognised. */
  key: string | undefined;
  scope: string;
  /** Method and pattern of the path. */
  route: string;
  /** What it was about, as far as that has the form of appids. */
  appids: readonly string[];
  /** The peer; behind a proxy, the proxy. */
  address: string | undefined;
  /** `ok`, another outcome, or the code of an error. */
  result: string;
  kind?: string | undefined;
  /** The id in a key that is wrong: one that was removed or changed is found by it. */
  claimed?: string | undefined;
  request_id?: string | undefined;
}

/** A read of a credential over HTTP, or a complaint about one. */
export interface SeenRead {
  key: string;
  kind: string;
  request: 'read' | 'rejected' | 'refresh';
  result: string;
}

export interface Audit {
  /** At `warn`. A flood of refusals becomes one line a minute with their number. */
  refused(entry: AuditEntry): void;
  /** At `info`. */
  done(entry: AuditEntry): void;
  /** Before everything else of a route: sees to it that what comes of a request is on record. */
  watch(route: WatchedRoute): RequestHandler;
  /** The same for one request, whatever door it came through. */
  follow(watched: Watched, request: Asked, response: Answering): void;
}

/** Lines a minute about one caller and one kind of refusal, and about everybody together. */
const LINES_PER_CALLER = 5;
const LINES_PER_MINUTE = 50;
const MINUTE_MS = 60_000;

const REFUSALS: readonly ErrorCode[] = ['unauthorized', 'forbidden', 'too_many_requests'];
const UNKNOWN: readonly ErrorCode[] = ['not_found', 'unknown_component'];

export function createAudit(options: {
  log: Log;
  clock?: Clock;
  onRead?: (read: SeenRead) => void;
}): Audit {
  const log = options.log.in('audit');
  const admits = createBudget(log, options.clock ?? systemClock);
  return {
    refused(entry) {
      if (!admits(entry)) return;
      const wrongKey = entry.result === 'unauthorized';
      log.warn(wrongKey ? 'wrong API key' : 'access refused', { ...entry });
    },
    done(entry) {
      log.info('access used', { ...entry });
    },
    watch(route) {
      return (request, response, next) => {
        // Express takes the names in the path away again when the route is left.
        this.follow({ route, params: { ...request.params } }, request, response);
        next();
      };
    },
    follow(watched, request, response) {
      const { route } = watched;
      response.locals.watched = watched;
      response.on('close', () => {
        const read = readOf(route, request, response);
        if (read !== undefined) options.onRead?.(read);
        if (leavesTrail(route, request, response)) this.done(entryOf(request, response));
      });
    },
  };
}

/**
 * Whether an error means that somebody wanted what is not theirs. To a key that is narrowed, a name that
 * does not exist is one, too: that is how others are guessed.
 */
export function isRefusal({ code }: KeeperError, response: Answering): boolean {
  const narrowed = knownCaller(response)?.appids !== undefined;
  return REFUSALS.includes(code) || (narrowed && UNKNOWN.includes(code));
}

export type WatchedRoute = Pick<Route, 'method' | 'path' | 'scope' | 'handsOut'>;

/** The route that took a request, and the names in its path. */
export interface Watched {
  route: WatchedRoute;
  params: Request['params'];
}

function watchedIn(response: Answering): Partial<Watched> {
  return response.locals.watched ?? {};
}

/** What the trail says of a request of the API. */
export function entryOf(request: Asked, response: Answering): AuditEntry {
  const { claimed } = response.locals as { claimed?: string };
  const { route, params = {} } = watchedIn(response);
  return {
    key: knownCaller(response)?.key.id,
    scope: route?.scope ?? 'none',
    route: route === undefined ? String(request.method) : nameOf(route),
    appids: shownAppids(namedIn({ params })),
    address: request.socket.remoteAddress,
    result: resultOf(response),
    kind: kindOf(response),
    claimed,
    request_id: requestIdOf(response),
  };
}

/** What has not the form of an appid may be anything, and is not repeated. */
export function shownAppids(names: readonly string[]): string[] {
  return names.map((name) => (APPID.test(name) ? name : 'malformed'));
}

function nameOf({ method, path }: WatchedRoute): string {
  return `${method.toUpperCase()} ${path}`;
}

/** Whoever answers with an error leaves its code; a peer that has hung up may not have got the answer. */
function resultOf(response: Answering): string {
  const code = response.locals.code as string | undefined;
  if (code !== undefined) return code;
  return response.closed && !response.writableFinished ? 'hung_up' : 'ok';
}

/** Only names that there are: in a path may stand anything. */
function kindOf(response: Answering): string | undefined {
  const kind = watchedIn(response).params?.kind;
  if (kind === undefined) return undefined;
  return CREDENTIAL_KINDS.find(({ name }) => name === kind)?.name ?? 'other';
}

function readOf(route: WatchedRoute, request: Asked, response: Answering): SeenRead | undefined {
  const caller = knownCaller(response);
  const kind = kindOf(response);
  if (caller === undefined || kind === undefined || request.method === 'HEAD') return undefined;
  const [, last] = /\/(rejected|refresh)$/.exec(route.path) ?? [];
  const what = (last ?? 'read') as SeenRead['request'];
  return { key: caller.key.id, kind, request: what, result: resultOf(response) };
}

/** Hand-outs of what works once, forced mints, and whatever else needs an admin; refusals have theirs. */
function leavesTrail(route: WatchedRoute, request: Asked, response: Answering): boolean {
  const code = response.locals.code as ErrorCode | undefined;
  if (knownCaller(response) === undefined || response.locals.refused === true) return false;
  if (route.scope === 'admin') return true;
  if (code !== undefined || request.method === 'HEAD') return false;
  const kind = kindOf(response);
  const singleUse = CREDENTIAL_KINDS.some((one) => one.singleUse && one.name === kind);
  return route.handsOut === true || (singleUse && route.method === 'get');
}

/** Whether a refusal gets a line of its own; what does not is told in sum when the minute is over. */
function createBudget(log: Log, clock: Clock): (entry: AuditEntry) => boolean {
  let since = -Infinity;
  let lines = 0;
  let left = 0;
  const perCaller = new Map<string, number>();
  const begin = () => {
    if (left > 0) log.warn('more was refused', { count: left, callers: perCaller.size });
    since = clock.monotonic();
    lines = left = 0;
    perCaller.clear();
  };
  return ({ key, address = '', result }) => {
    if (clock.monotonic() - since >= MINUTE_MS) begin();
    const caller = `${key ?? address} ${result}`;
    const before = perCaller.get(caller) ?? 0;
    // The number of callers is bounded by the lines: those that came too late are counted, not kept.
    if (before > 0 || lines < LINES_PER_MINUTE) perCaller.set(caller, before + 1);
    if (before < LINES_PER_CALLER && lines < LINES_PER_MINUTE) {
      lines += 1;
      return true;
    }
    if (left === 0) clock.setTimer(MINUTE_MS - (clock.monotonic() - since), begin);
    left += 1;
    return false;
  };
}
