import express, { type Express, type Request } from 'express';
import { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Receiver } from '../pushes/receiver.ts';
import { publicErrors } from './errors.ts';

/** What WeChat and the world can reach: callbacks and a sign of life. Everything else is 404. */

const MAX_BODY = '64kb';
const APPID = /^wx[0-9a-f]{16}$/;
/** A declared type that cannot be XML is refused; WeChat sends text/xml. */
const MAY_BE_XML = /^(?:text\/|application\/(?:xml|octet-stream)|[^;]*\+xml)/i;
const CHARSET = /charset\s*=\s*"?([^\s;"]+)/i;

export function createPublicApp(receiver: Receiver, log: Log): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app.set('query parser', 'simple');
  app.get('/livez', (_request, response) => {
    response.type('text/plain').send('ok');
  });
  const paths = ['/callback/:component', '/callback/:component/:authorizer'];
  app.get(paths, (request, response) => {
    const { component } = addressOf(request, receiver);
    response
      .set({ 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' })
      .type('text/plain')
      .send(receiver.echo(component, request.query));
  });
  app.post(
    paths,
    // Refused before the body is read: a stranger's body is not worth receiving.
    (request, _response, next) => {
      addressOf(request, receiver);
      assertReadable(request);
      next();
    },
    // Nothing is inflated: a few kilobytes could become a few gigabytes.
    express.raw({ type: () => true, limit: MAX_BODY, inflate: false }),
    async (request, response) => {
      const { component, authorizer } = addressOf(request, receiver);
      const answer = await receiver.receive({
        componentAppid: component,
        ...(authorizer === undefined ? {} : { authorizerAppid: authorizer }),
        query: request.query,
        body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
      });
      response.type('text/plain').send(answer);
    },
  );
  app.all(paths, (request) => {
    addressOf(request, receiver);
    throw new KeeperError('method_not_allowed', 'GET or POST');
  });
  app.use(() => {
    throw new KeeperError('not_found', 'not found');
  });
  app.use(publicErrors(log));
  return app;
}

/** The appids of the URL. @throws KeeperError `unknown_component`, `not_found` */
function addressOf(
  request: Request,
  receiver: Receiver,
): { component: string; authorizer: string | undefined } {
  const { component, authorizer } = request.params;
  if (typeof component !== 'string' || !receiver.knows(component)) {
    throw new KeeperError('unknown_component', 'unknown component');
  }
  if (authorizer === undefined) return { component, authorizer };
  if (typeof authorizer !== 'string' || !APPID.test(authorizer)) {
    throw new KeeperError('not_found', 'not an appid');
  }
  return { component, authorizer };
}

/** @throws KeeperError `unsupported_media` */
function assertReadable(request: Request): void {
  const type = request.headers['content-type'];
  if (type === undefined) return;
  const charset = CHARSET.exec(type)?.[1]?.toLowerCase() ?? 'utf-8';
  if (!MAY_BE_XML.test(type) || !['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    throw new KeeperError('unsupported_media', 'expected XML in UTF-8');
  }
}
