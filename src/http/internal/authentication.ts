import type { RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import {
  appidsFor,
  claimedId,
  findApiKey,
  type ApiKey,
  type Scope,
} from '../../config/api-keys.ts';
import { KeeperError } from '../../lib/errors.ts';
import { namedIn, setCaller, type Caller } from './caller.ts';
import type { Asked } from '../request-response.ts';

/** Who asks, and whether they may. Keys come as `Authorization: Bearer`, never in a URL. */

const MAX_FAILURES_PER_MINUTE = 10;

/** Makes the check for one scope, as Express middleware. */
export type RequireScope = (scope: Scope) => RequestHandler;

/** What a key may do where it was presented. */
export interface Admission {
  /** What was presented, known or not. */
  presented: string;
  /** Undefined: the key is unknown. */
  caller: Caller | undefined;
  passes: boolean;
}

/**
 * Lets requests pass whose key holds a scope for an appid the route names (component or
 * authorizer). A route that names none is for whoever holds the scope for anything: `visibleTo` narrows
 * what it shows.
 */
export function admit(
  keys: readonly ApiKey[],
  scope: Scope,
  request: Asked,
  named: readonly string[],
): Admission {
  const presented = bearerOf(request);
  const key = findApiKey(keys, presented);
  if (key === undefined) return { presented, caller: undefined, passes: false };
  const appids = appidsFor(key, scope);
  const passes =
    named.length === 0
      ? appids === undefined || appids.length > 0
      : appids === undefined || named.some((appid) => appids.includes(appid));
  return { presented, caller: { key, appids }, passes };
}

/** As Express's middleware, which also says no. */
export function createAuthentication(keys: readonly ApiKey[]): RequireScope {
  const countFailure = limitFailures((_request, _response, next) => {
    const message = 'Too many wrong API keys; wait a minute.';
    next(new KeeperError('too_many_requests', message, { retryAfterSeconds: 60 }));
  });
  return (scope) => (request, response, next) => {
    const { presented, caller, passes } = admit(keys, scope, request, namedIn(request));
    if (caller === undefined) {
      response.locals.claimed = claimedId(presented);
      response.set('WWW-Authenticate', 'Bearer');
      const message = 'Send a known API key as "Authorization: Bearer <key>".';
      void countFailure(request, response, (tooMany?: unknown) => {
        next(tooMany ?? new KeeperError('unauthorized', message));
      });
      return;
    }
    setCaller(response, caller);
    if (!passes) throw new KeeperError('forbidden', `This API key lacks the scope ${scope} here.`);
    next();
  };
}

function bearerOf(request: Asked): string {
  const [, presented] =
    /^Bearer ([\x21-\x7E]{1,256})$/i.exec(request.headers.authorization ?? '') ?? [];
  return presented ?? '';
}

/**
 * Slows down whoever guesses keys: after ten wrong ones in a minute an address is refused. Right keys
 * from the same address still pass, so that one misconfigured service cannot lock its neighbours out.
 */
export function limitFailures(refuse: RequestHandler): RequestHandler {
  return rateLimit({
    windowMs: 60_000,
    limit: MAX_FAILURES_PER_MINUTE,
    standardHeaders: false,
    legacyHeaders: false,
    // Its checks write to the console, and addresses are never taken from headers here.
    validate: false,
    handler: refuse,
  });
}
