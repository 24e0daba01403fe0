import { randomUUID } from 'node:crypto';
import express, { type Express } from 'express';
import type { ApiKey } from '../api-keys.ts';
import type { RejectContext } from '../credentials/reject.ts';
import { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import { takeSnapshot, type SnapshotContext } from '../status/snapshot.ts';
import { createAuthentication } from './authentication.ts';
import { authorizationLinkRoutes, type AuthorizationLinks } from './authorization-link-routes.ts';
import { authorizerRoutes, type AuthorizersOptions } from './authorizer-routes.ts';
import { credentialRoutes } from './credential-routes.ts';
import { internalErrors } from './errors.ts';

/** What services and admins can reach. Probes need no key; everything else does. */

export interface InternalAppOptions {
  apiKeys: readonly ApiKey[];
  reading: RejectContext;
  status: SnapshotContext;
  authorizationLinks?: AuthorizationLinks;
  authorizers?: AuthorizersOptions;
  /** Why this process should get no traffic, or undefined when it is ready. */
  notReady: () => string | undefined;
  log: Log;
}

export function createInternalApp(options: InternalAppOptions): Express {
  const { apiKeys, log, notReady, status } = options;
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app.set('query parser', 'simple');
  app.use((_request, response, next) => {
    response.locals.requestId = randomUUID();
    response.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    next();
  });
  app.get('/livez', (_request, response) => {
    response.json({ status: 'ok' });
  });
  app.get('/readyz', (_request, response) => {
    const reason = notReady();
    response.status(reason === undefined ? 200 : 503);
    response.json(reason === undefined ? { status: 'ready' } : { status: 'not_ready', reason });
  });
  const requireScope = createAuthentication(apiKeys);
  app.get('/status', requireScope('status:read'), async (_request, response) => {
    const appids = response.locals.appids as readonly string[] | undefined;
    const components = status.components.filter(({ appid }) => appids?.includes(appid) ?? true);
    const accounts = status.accounts.filter(({ appid }) => appids?.includes(appid) ?? true);
    response.json(await takeSnapshot({ ...status, components, accounts }));
  });
  app.use(credentialRoutes(options.reading, requireScope));
  if (options.authorizationLinks !== undefined) {
    app.use(authorizationLinkRoutes(options.authorizationLinks, requireScope));
  }
  if (options.authorizers !== undefined) {
    app.use(authorizerRoutes(options.authorizers, requireScope));
  }
  app.all('/status', () => {
    throw new KeeperError('method_not_allowed', 'Only GET is served here.');
  });
  app.use(() => {
    throw new KeeperError('not_found', 'Nothing is served at this path.');
  });
  app.use(internalErrors(log));
  return app;
}
