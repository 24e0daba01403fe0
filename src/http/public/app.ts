import express, { type Express, type Request, type RequestHandler } from 'express';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { Receiver } from '../../callbacks/receiver.ts';
import type { RefusedPushCounter } from '../../callbacks/refused-pushes.ts';
import { readAppid } from '../../config/appid.ts';
import type { AuthorizationPages } from './authorize.ts';
import { respondWith } from '../errors.ts';
import { observeResponses, type Seen } from '../internal/route.ts';
import { publicErrors } from './errors.ts';
import { PUSH_PATHS, servePush } from './push-route.ts';

/** What WeChat and the world can reach: callbacks, pages for merchants and a sign of life. */

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
  const paths = [...PUSH_PATHS];
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
    const { query } = request;
    await servePush(receiver, request, response, { ...addressOf(request), query });
  });
  app.all(paths, () => {
    throw new KeeperError('method_not_allowed', 'GET or POST', { reason: 'form' });
  });
  if (authorization !== undefined) app.use(pagesLater(authorization, log));
  app.use(() => {
    throw new KeeperError('not_found', 'not found');
  });
  app.use(respondWith(publicErrors(log, refused)));
  return app;
}

/** Pushes need no page: those who are sent by WeChat need not wait for the pages to be loaded. */
function pagesLater(authorization: AuthorizationPages, log: Log): RequestHandler {
  let pages: RequestHandler | undefined;
  return async (request, response, next) => {
    if (pages === undefined) {
      const { authorizationPages } = await import('./authorize.ts');
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
