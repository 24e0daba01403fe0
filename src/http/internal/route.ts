import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Express, RequestHandler } from 'express';
import type * as z from 'zod';
import type { Scope } from '../../config/api-keys.ts';
import { KeeperError, type ErrorCode } from '../../lib/errors.ts';
import type { RequireScope } from './authentication.ts';
import type { Text } from '../../lib/language.ts';

/**
 * What the internal listener serves, as a table: the routes, the API's document, the tables in docs/ and
 * the tests of who may do what are all made from it.
 */
export interface Route {
  method: 'get' | 'post';
  /** In Express's syntax: `/v1/components/:component/reconcile`. */
  path: string;
  /** `none`: for everybody who reaches the port. */
  scope: Scope | 'none';
  /** It hands out what is as good as a key: each use leaves a line, as with the scope `admin`. */
  handsOut?: boolean;
  doc: RouteDoc;
}

/** What serves some routes, by the name of the operation; it runs after authentication. */
export type HandlersOf<Routes extends readonly Route[]> = Readonly<
  Record<Routes[number]['doc']['operationId'], RequestHandler | RequestHandler[]>
>;

/** What a developer needs to know of a route. */
export interface RouteDoc {
  /** Name of the operation, for generated clients; unique. */
  operationId: string;
  /** One line in each language, for the tables in docs/. */
  summary: Text;
  /** What the summary leaves open. */
  description?: string;
  /** An object schema of the query. */
  query?: z.ZodType;
  /** Names of request headers that are heeded, with what they do. */
  headers?: Readonly<Record<string, string>>;
  /** Of the JSON body. */
  body?: z.ZodType;
  /** May the body be left out? */
  bodyIsOptional?: boolean;
  success: readonly SuccessDoc[];
  /** Besides those that follow from the scope. */
  errors: readonly ErrorCode[];
}

export interface SuccessDoc {
  status: number;
  description: string;
  /** Of the JSON answer; undefined when it is no JSON or has no body. */
  schema?: z.ZodType;
  /** Of an answer that is no JSON, such as `text/plain`. */
  contentType?: string;
  /** Names of headers, with what they mean. */
  headers?: Readonly<Record<string, string>>;
}

/**
 * Registers the routes in their order. HEAD is served where GET is; any other method on a path of the
 * table is refused with 405 and `Allow`, before anybody is asked for a key.
 */
export function registerRoutes(
  app: Express,
  routes: readonly Route[],
  handlers: HandlersOf<readonly Route[]>,
  requireScope: RequireScope,
  watch: (route: Route) => RequestHandler,
): void {
  for (const path of new Set(routes.map((one) => one.path))) {
    // Path by path: `…/rejected` must not be taken for the appid of an authorizer.
    const served = routes.filter((one) => one.path === path);
    const registered = app.route(path);
    for (const route of served) {
      const { method, scope, doc } = route;
      const guards = scope === 'none' ? [] : [watch(route), requireScope(scope)];
      const handler = handlers[doc.operationId];
      if (handler === undefined) throw new Error(`no handler for ${doc.operationId}`);
      registered[method](...guards, handler);
    }
    registered.all(refuseMethod(served.map(({ method }) => method.toUpperCase())));
  }
}

function refuseMethod(served: readonly string[]): RequestHandler {
  const verb = served.length === 1 ? 'is' : 'are';
  const message = `Only ${served.join(' and ')} ${verb} served here.`;
  const allowed = served.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));
  return (_request, response) => {
    response.set('Allow', allowed.join(', '));
    throw new KeeperError('method_not_allowed', message);
  };
}

/** One finished response, for those who count. */
export interface Seen {
  method: string;
  /** The pattern of the path, never the path itself; `unmatched` when no route took it. */
  route: string;
  status: number;
  seconds: number;
}

export function observeResponses(observe: (seen: Seen) => void): RequestHandler {
  return (request, response, next) => {
    const routeOf = () => {
      // Express leaves the route there that took the request, be it of the table or of the dashboard.
      const taken = request.route as { path: unknown } | undefined;
      // One route may have several patterns; the first one stands for all.
      const path: unknown = Array.isArray(taken?.path) ? taken.path[0] : taken?.path;
      return typeof path === 'string' ? path : 'unmatched';
    };
    observeResponse({ request, response, routeOf, observe });
    next();
  };
}

/** One response, whatever door its request came through, from now until it is sent. */
export function observeResponse(one: {
  request: IncomingMessage;
  response: ServerResponse;
  /** The pattern of the path; asked for when the answer is out. */
  routeOf: () => string;
  observe: (seen: Seen) => void;
}): void {
  const { request, response, routeOf, observe } = one;
  const started = performance.now();
  response.on('finish', () => {
    observe({
      method: String(request.method),
      route: routeOf(),
      status: response.statusCode,
      seconds: (performance.now() - started) / 1000,
    });
  });
}
