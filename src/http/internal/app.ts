import express, { type Express, type Router } from 'express';
import type { ApiKey } from '../../config/api-keys.ts';
import type { RejectContext } from '../../credentials/report-invalid.ts';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { SnapshotContext } from '../../status/context.ts';
import { createAudit, type Audit } from './audit.ts';
import { createAuthentication } from './authentication.ts';
import type { AuthorizationLinks } from './authorization-link-routes.ts';
import type { AuthorizersOptions } from './authorizer-routes.ts';
import { internalErrors } from '../errors.ts';
import { beginAnswer } from '../exchange.ts';
import { internalRoutes } from './routes.ts';
import { observeResponses, registerRoutes, type Route, type Seen } from './route.ts';

/** What services and admins can reach. Probes need no key; everything else does. */

export interface InternalAppOptions {
  apiKeys: readonly ApiKey[];
  reading: RejectContext;
  status: SnapshotContext;
  authorizationLinks?: AuthorizationLinks;
  authorizers?: AuthorizersOptions;
  /** Why this process should get no traffic, or undefined when it is ready. */
  notReady: () => Promise<string | undefined> | string | undefined;
  log: Log;
  /** The trail; one that is only logged, unless given. */
  audit?: Audit;
  /** `GET /metrics`. */
  metrics?: Route;
  /** Pages for people. They authenticate by a session cookie, not by the table's scopes. */
  dashboard?: Router;
  /** Called once for each finished response. */
  observe?: (seen: Seen) => void;
}

export function createInternalApp(options: InternalAppOptions): Express {
  const { apiKeys, log, observe, audit = createAudit({ log }) } = options;
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
  registerRoutes(app, internalRoutes(options), requireScope, (route) => audit.watch(route));
  if (options.dashboard !== undefined) app.use(options.dashboard);
  app.use(() => {
    throw new KeeperError('not_found', 'Nothing is served at this path.');
  });
  app.use(internalErrors(log, audit));
  return app;
}
