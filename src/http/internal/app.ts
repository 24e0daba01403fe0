import express, { type Express } from 'express';
import { KeeperError } from '../../lib/errors.ts';
import { createAudit } from './audit.ts';
import { createAuthentication } from './authentication.ts';
import { respondWith } from '../errors.ts';
import { beginAnswer } from '../request-response.ts';
import { internalErrors } from './errors.ts';
import { internalRoutes, type InternalAppOptions } from './routes.ts';
import { observeResponses, registerRoutes } from './route.ts';

/** What services and admins can reach. Probes need no key; everything else does. */

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
  app.use(respondWith(internalErrors(log, audit)));
  return app;
}
