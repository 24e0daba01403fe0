import express, { type Express, type RequestHandler, type Router } from 'express';
import type { ApiKey } from '../../config/api-keys.ts';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { createAudit, type Audit } from './audit.ts';
import { createAuthentication, type RequireScope } from './authentication.ts';
import { respondWith } from '../errors.ts';
import { beginAnswer } from '../request-response.ts';
import { internalErrors } from './errors.ts';
import { observeResponses, registerRoutes, type HandlersOf, type Seen } from './route.ts';
import { ROUTES } from './routes.ts';

/** What services and admins can reach. Probes need no key; everything else does. */

export interface InternalAppOptions {
  apiKeys: readonly ApiKey[];
  handlers: HandlersOf<typeof ROUTES>;
  log: Log;
  /** The trail; one that is only logged, unless given. */
  audit?: Audit;
  /** WeChat's own calls, for applications that believe to be talking with it. */
  facade?: Router;
  /** Calls to WeChat that are passed on: those with a key, and those that SDKs send as to WeChat. */
  gateway?: (requireScope: RequireScope) => { keyed: RequestHandler; bare: RequestHandler };
  /** Pages for people. They authenticate by a session cookie, not by the table's scopes. */
  dashboard?: Router;
  /** Called once for each finished response. */
  observe?: (seen: Seen) => void;
}

export function createInternalApp(options: InternalAppOptions): Express {
  const { apiKeys, handlers, log, observe, audit = createAudit({ log }) } = options;
  const app = express();
  app.disable('x-powered-by').disable('etag');
  // A proxy in front of it may let pass by path, and knows upper case from lower case.
  app.enable('case sensitive routing');
  app.set('query parser', 'simple');
  if (observe !== undefined) app.use(observeResponses(observe));
  app.use((_request, response, next) => {
    beginAnswer(response);
    next();
  });
  const requireScope = createAuthentication(apiKeys);
  registerRoutes(app, ROUTES, handlers, requireScope, (route) => audit.watch(route));
  const gateway = options.gateway?.(requireScope);
  if (gateway !== undefined) app.use(gateway.keyed);
  if (options.facade !== undefined) app.use(options.facade);
  if (options.dashboard !== undefined) app.use(options.dashboard);
  if (gateway !== undefined) app.use(gateway.bare);
  app.use(() => {
    throw new KeeperError('not_found', 'Nothing is served at this path.');
  });
  app.use(respondWith(internalErrors(log, audit)));
  return app;
}
