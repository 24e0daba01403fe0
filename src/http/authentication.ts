import type { RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import { findApiKey, mayUse, type ApiKey, type Scope } from '../api-keys.ts';
import { KeeperError } from '../errors.ts';

/** Who asks, and whether they may. Keys come as `Authorization: Bearer`, never in a URL. */

const MAX_FAILURES_PER_MINUTE = 10;

/**
 * Lets requests pass whose key holds `scope`, narrowed to the appids the route names: the
 * component or the authorizer.
 */
export function requireScope(keys: readonly ApiKey[], scope: Scope): RequestHandler {
  return (request, response, next) => {
    const [, presented] =
      /^Bearer ([\x21-\x7E]{1,256})$/i.exec(request.headers.authorization ?? '') ?? [];
    if (presented === undefined) {
      response.set('WWW-Authenticate', 'Bearer');
      throw new KeeperError('unauthorized', 'Send an API key as "Authorization: Bearer <key>".');
    }
    const key = findApiKey(keys, presented);
    if (key === undefined) {
      response.set('WWW-Authenticate', 'Bearer');
      throw new KeeperError('unauthorized', 'This API key is not known here.');
    }
    const { component, authorizer } = request.params;
    const appids = [component, authorizer].filter((one) => typeof one === 'string');
    const allowed =
      appids.length === 0
        ? mayUse(key, scope, undefined)
        : appids.some((appid) => mayUse(key, scope, appid));
    if (!allowed) {
      throw new KeeperError('forbidden', `This API key lacks the scope ${scope} here.`);
    }
    next();
  };
}

/** Slows down whoever guesses keys: after ten failures in a minute an address is refused. */
export function limitFailures(): RequestHandler {
  return rateLimit({
    windowMs: 60_000,
    limit: MAX_FAILURES_PER_MINUTE,
    standardHeaders: false,
    legacyHeaders: false,
    requestWasSuccessful: (_request, response) => response.statusCode !== 401,
    skipSuccessfulRequests: true,
    handler: () => {
      throw new KeeperError('too_many_requests', 'Too many wrong API keys; wait a minute.', {
        retryAfterSeconds: 60,
      });
    },
  });
}
