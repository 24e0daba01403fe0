import express, { type Express, type Request, type Response } from 'express';
import getRawBody from 'raw-body';
import { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Answer, Receiver } from '../pushes/receiver.ts';
import type { RefusedPushCounter } from '../pushes/refused.ts';
import { authorizationPages, type AuthorizationPages } from './authorization-pages.ts';
import { publicErrors } from './errors.ts';
import { observeResponses, type Seen } from './route.ts';
import { MAX_BODY_BYTES } from './server.ts';

/** What WeChat and the world can reach: callbacks, pages for merchants and a sign of life. */

/** Milliseconds of silence after which the rest of a refused body is no longer waited for. */
const LINGER_MS = 1_000;
const APPID = /^wx[0-9a-f]{16}$/;
/** A declared type that cannot be XML is refused; WeChat sends text/xml. */
const MAY_BE_XML = /^(?:text\/|application\/(?:xml|octet-stream)|[^;]*\+xml)/i;
const CHARSET = /charset\s*=\s*"?([^\s;"]+)/i;

export function createPublicApp(
  receiver: Receiver,
  log: Log,
  authorization?: AuthorizationPages,
  observe?: (seen: Seen) => void,
  refused?: RefusedPushCounter,
): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app.set('query parser', 'simple');
  if (observe !== undefined) app.use(observeResponses(observe));
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
    async (request, response) => {
      const { component, authorizer } = addressOf(request, receiver);
      const answer = await receiver.receive({
        componentAppid: component,
        ...(authorizer === undefined ? {} : { authorizerAppid: authorizer }),
        query: request.query,
        body: await readBody(request),
      });
      sendAnswer(response, answer);
    },
  );
  app.all(paths, (request) => {
    addressOf(request, receiver);
    throw new KeeperError('method_not_allowed', 'GET or POST');
  });
  if (authorization !== undefined) app.use(authorizationPages(authorization, log));
  app.use(() => {
    throw new KeeperError('not_found', 'not found');
  });
  app.use(publicErrors(log, refused));
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

/** Sends the answer to a push, and lets what follows it begin when it is out. */
function sendAnswer(response: Response, { type, body, afterwards }: Answer): void {
  if (afterwards !== undefined) {
    // WeChat may have hung up while Redis was slow: there is nothing left to close then.
    if (response.closed) afterwards();
    else response.once('close', afterwards);
  }
  response.type(type).send(body);
}

/**
 * The body, as bytes. One that is too large is refused as soon as that is known; what still comes
 * of it is thrown away, so that the sender can read the answer.
 * @throws KeeperError `too_large`, `bad_request`
 */
async function readBody(request: Request): Promise<Buffer> {
  try {
    const length = request.headers['content-length'] ?? null;
    return await getRawBody(request, { length, limit: MAX_BODY_BYTES });
  } catch (error) {
    request.resume();
    request.socket.setTimeout(LINGER_MS, () => request.socket.destroy());
    if ((error as { type?: unknown }).type === 'entity.too.large') {
      throw new KeeperError('too_large', 'body too large');
    }
    throw new KeeperError('bad_request', 'the body did not arrive whole');
  }
}

/** @throws KeeperError `unsupported_media` */
function assertReadable(request: Request): void {
  // Nothing is inflated: a few kilobytes could become a few gigabytes.
  if ((request.headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new KeeperError('unsupported_media', 'compressed bodies are not accepted');
  }
  const type = request.headers['content-type'];
  if (type === undefined) return;
  const charset = CHARSET.exec(type)?.[1]?.toLowerCase() ?? 'utf-8';
  if (!MAY_BE_XML.test(type) || !['utf-8', 'utf8', 'us-ascii'].includes(charset)) {
    throw new KeeperError('unsupported_media', 'expected XML in UTF-8');
  }
}
