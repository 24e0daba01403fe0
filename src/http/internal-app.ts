import { randomUUID } from 'node:crypto';
import express, { type Express, type Request, type RequestHandler } from 'express';
import type { ApiKey } from '../api-keys.ts';
import { peekCredential, readCredential, type ReadContext } from '../credentials/read.ts';
import { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import { takeSnapshot, type SnapshotContext } from '../status/snapshot.ts';
import type { CredentialId, CredentialKindName } from '../store/keys.ts';
import { createAuthentication } from './authentication.ts';
import { internalErrors } from './errors.ts';

/** What services and admins can reach. Probes need no key; everything else does. */

export interface InternalAppOptions {
  apiKeys: readonly ApiKey[];
  reading: ReadContext;
  status: SnapshotContext;
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
    response.json(await takeSnapshot({ ...status, components }));
  });
  app.get(
    '/v1/credentials/:kind/:component',
    requireScope('credentials:read'),
    serveCredential(options.reading),
  );
  app.all(['/status', '/v1/credentials/:kind/:component'], () => {
    throw new KeeperError('method_not_allowed', 'Only GET is served here.');
  });
  app.use(() => {
    throw new KeeperError('not_found', 'Nothing is served at this path.');
  });
  app.use(internalErrors(log));
  return app;
}

/** The ETag is the seq: a service that polls learns in a few bytes that nothing changed. */
function serveCredential(reading: ReadContext): RequestHandler {
  return async (request, response) => {
    const id = idOf(request);
    // HEAD must change nothing, and reading a single-use value hands it out.
    if (request.method === 'HEAD') {
      const { seq } = await peekCredential(reading, id);
      response.set('ETag', `"${seq}"`).end();
      return;
    }
    const { value, expiresAt, seq, state } = await readCredential(reading, id);
    const etag = `"${seq}"`;
    response.set('ETag', etag);
    const singleUse = reading.keeper.kindOf(id)?.singleUse === true;
    if (!singleUse && request.headers['if-none-match'] === etag) {
      response.status(304).end();
      return;
    }
    response.json({
      kind: id.kind,
      subject: id.subject,
      value,
      expires_at: new Date(expiresAt).toISOString(),
      expires_in: Math.max(0, Math.floor((expiresAt - reading.clock.now()) / 1000)),
      seq,
      state,
    });
  };
}

function idOf(request: Request): CredentialId {
  const { kind, component } = request.params;
  return { kind: kind as CredentialKindName, subject: component as string };
}
