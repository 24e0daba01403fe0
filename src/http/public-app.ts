import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Answer, Receiver } from '../pushes/receiver.ts';
import type { RefusedPushCounter } from '../pushes/refused.ts';
import { readAppid } from '../wechat/appid.ts';
import type { AuthorizationPages } from './authorization-pages.ts';
import { publicErrors } from './errors.ts';
import { observeResponses, type Seen } from './route.ts';
import { MAX_BODY_BYTES } from './server.ts';

/** What WeChat and the world can reach: callbacks, pages for merchants and a sign of life. */

/** Milliseconds of silence after which the rest of a refused body is no longer waited for. */
const LINGER_MS = 1_000;
/** Bytes: most pushes have fewer. */
const FIRST_BODY_BYTES = 2_048;
/** An Encrypt as it is written in XML or in JSON: no compressed body has one. */
const PLAIN = /[<"]Encrypt\b/i;
const CALLBACK = /^\/+callback(?:\/|$)/i;
/** What WeChat replaces by an appid, at the URL for messages only. */
const PLACEHOLDER = /^\$?appid\$?$/i;

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
  app.use((request, _response, next) => {
    request.url = plainAddress(request, receiver) ?? request.url;
    next();
  });
  app.get(paths, (request, response) => {
    const { component } = addressOf(request);
    response
      .set({ 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' })
      .type('text/plain')
      .send(receiver.echo(component, request.query));
  });
  app.post(paths, async (request, response) => {
    const { component, authorizer } = addressOf(request);
    const body = await readBody(request);
    assertNotCompressed(request, body);
    const answer = await receiver.receive({
      componentAppid: component,
      ...(authorizer === undefined ? {} : { authorizerAppid: authorizer }),
      query: request.query,
      body,
    });
    sendAnswer(response, answer);
  });
  app.all(paths, () => {
    throw new KeeperError('method_not_allowed', 'GET or POST', { reason: 'form' });
  });
  if (authorization !== undefined) app.use(pagesLater(authorization, log));
  app.use(() => {
    throw new KeeperError('not_found', 'not found');
  });
  app.use(publicErrors(log, refused));
  return app;
}

/** Pushes need no page: those who are sent by WeChat need not wait for the pages to be loaded. */
function pagesLater(authorization: AuthorizationPages, log: Log): RequestHandler {
  let pages: RequestHandler | undefined;
  return async (request, response, next) => {
    if (pages === undefined) {
      const { authorizationPages } = await import('./authorization-pages.ts');
      // Another request may have been quicker, and limits count for all of them.
      pages ??= authorizationPages(authorization, log);
    }
    await pages(request, response, next);
  };
}

/**
 * The address that a callback means, as it would be printed: operators register URLs that were made for
 * other services, and proxies join slashes. Whatever is clear is taken; a redirect would lose the push.
 * @returns undefined when it is not for the callbacks
 * @throws KeeperError `unknown_component`, `not_found`, `bad_request`, each with its reason
 */
function plainAddress(request: Request, receiver: Receiver): string | undefined {
  if (!CALLBACK.test(request.path)) return undefined;
  const path = decoded(request.path);
  const [, first, second, ...more] = path.split('/').filter((part) => part !== '');
  const { appid = '' } = request.query;
  const named = typeof appid === 'string' ? appid.replaceAll('/', '').trim() : '?';
  if (first === undefined || more.length > 0) throw noSuchAddress();
  const component = componentOf(first, receiver);
  const account = second ?? (named === '' || named.toLowerCase() === component ? undefined : named);
  const callback = `/callback/${component}`;
  const [, ...queries] = request.url.split('?');
  const search = ['', ...queries].join('?');
  if (account === undefined) return callback + search;
  if (PLACEHOLDER.test(account)) {
    const text = 'a literal $APPID$: WeChat replaces it in the URL for messages and events only';
    throw new KeeperError('not_found', text, { reason: 'appid_placeholder' });
  }
  const authorizer = readAppid(account);
  if (authorizer === undefined) throw noSuchAddress();
  return `${callback}/${authorizer}${search}`;
}

/** As it is configured. @throws KeeperError `unknown_component` */
function componentOf(part: string, receiver: Receiver): string {
  const component = readAppid(part);
  if (component !== undefined && receiver.knows(component)) return component;
  throw new KeeperError('unknown_component', 'unknown component', { reason: 'unknown_component' });
}

/** @throws KeeperError `bad_request` */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw new KeeperError('bad_request', 'bad request', { cause, reason: 'path' });
  }
}

function noSuchAddress(): KeeperError {
  const text =
    'the two addresses are /callback/COMPONENT_APPID and /callback/COMPONENT_APPID/$APPID$';
  return new KeeperError('not_found', text, { reason: 'path' });
}

/** The appids of a plain address. */
function addressOf({ params }: Request): { component: string; authorizer: string | undefined } {
  const { component, authorizer } = params;
  return {
    component: typeof component === 'string' ? component : '',
    authorizer: typeof authorizer === 'string' ? authorizer : undefined,
  };
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
    if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
    return await gatherBody(request);
  } catch (error) {
    request.resume();
    // Node ends the connection then. A listener of our own would stay on it, one for each such body.
    request.socket.setTimeout(LINGER_MS);
    throw error;
  }
}

/**
 * Copied together as it comes: a body may be sent byte by byte, and what Node makes of each piece takes
 * many times as much memory as is in it.
 */
function gatherBody(request: Request): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let body = Buffer.alloc(FIRST_BODY_BYTES);
    let length = 0;
    const take = (piece: Buffer) => {
      const next = length + piece.length;
      if (next > MAX_BODY_BYTES) {
        request.off('data', take);
        reject(tooLarge());
        return;
      }
      if (next > body.length) {
        const larger = Buffer.alloc(Math.min(MAX_BODY_BYTES, Math.max(next, 2 * body.length)));
        body.copy(larger, 0, 0, length);
        body = larger;
      }
      piece.copy(body, length);
      length = next;
    };
    const broken = (cause?: Error) => {
      const text = 'the body did not arrive whole';
      reject(new KeeperError('bad_request', text, { cause, reason: 'form' }));
    };
    request.on('data', take).once('end', () => resolve(body.subarray(0, length)));
    // Who has hung up already says so no more.
    if (request.destroyed) broken();
    else request.once('error', broken).once('close', broken);
  });
}

function tooLarge(): KeeperError {
  return new KeeperError('too_large', 'body too large', { reason: 'form' });
}

/**
 * Nothing is inflated: a few kilobytes could become a few gigabytes. But no header decides anything: a
 * proxy may inflate a body and leave its header, or write a charset there.
 * @throws KeeperError `unsupported_media`
 */
function assertNotCompressed({ headers }: Request, body: Buffer): void {
  const encodings = (headers['content-encoding'] ?? '').split(',').map((one) => one.trim());
  if (encodings.every((one) => one === '' || one.toLowerCase() === 'identity')) return;
  if (PLAIN.test(body.toString('latin1'))) return;
  throw new KeeperError('unsupported_media', 'compressed bodies are not accepted', {
    reason: 'form',
  });
}
