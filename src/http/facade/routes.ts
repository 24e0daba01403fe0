import express, {
  Router,
  type ErrorRequestHandler,
  type Request,
  type RequestHandler,
  type Response,
} from 'express';
import { asKeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { entryOf, isRefusal, type Audit } from '../internal/audit.ts';
import { setCaller } from '../internal/caller.ts';
import { requestIdOf } from '../request-response.ts';
import { errorAnswer, FacadeError, sendAnswer } from './answers.ts';
import * as facade from './facade.ts';

/** Where applications find WeChat's calls for tokens: at the same paths as at WeChat's. */

export interface FacadeRoutesOptions extends facade.FacadeOptions {
  log: Log;
  audit: Audit;
}

type Served = (
  options: facade.FacadeOptions,
  call: facade.FacadeCall,
) => Promise<object | undefined>;

const COMPONENT = '/cgi-bin/component';
const CALLS: Readonly<Record<string, Served>> = {
  '/cgi-bin/token': facade.token,
  '/cgi-bin/stable_token': facade.token,
  '/cgi-bin/ticket/getticket': facade.ticket,
  [`${COMPONENT}/api_component_token`]: facade.componentToken,
  [`${COMPONENT}/api_create_preauthcode`]: facade.preAuthCode,
  [`${COMPONENT}/api_query_auth`]: facade.queryAuth,
  [`${COMPONENT}/api_authorizer_token`]: facade.authorizerTokenOf,
  [`${COMPONENT}/api_start_push_ticket`]: facade.startPushTicket,
};
/** Whoever is handed out one of these leaves a line: it works once. */
const HANDS_OUT: readonly string[] = [`${COMPONENT}/api_create_preauthcode`];
const MAX_BODY = '64kb';

export function facadeRoutes(options: FacadeRoutesOptions): Router {
  const router = Router({ caseSensitive: true, strict: true });
  // As text, whatever it is called: some clients send their JSON without a type.
  const text = express.text({ limit: MAX_BODY, inflate: false, type: () => true });
  for (const [path, served] of Object.entries(CALLS)) {
    router.get(path, serve(options, path, served));
    router.post(path, text, serve(options, path, served), refuse(options));
  }
  return router;
}

function serve(options: FacadeRoutesOptions, path: string, served: Served): RequestHandler {
  return async (request, response, next) => {
    const method = request.method === 'POST' ? 'post' : 'get';
    const route = {
      method,
      path,
      scope: 'credentials:read',
      handsOut: HANDS_OUT.includes(path),
    } as const;
    const params: Record<string, string> = {};
    options.audit.follow({ route, params }, request, response);
    try {
      const answer = await served(options, {
        fields: fieldsOf(request),
        admitted(key, { kind, subject }) {
          const [component = '', authorizer] = subject.split(':');
          Object.assign(params, { kind, component }, authorizer && { authorizer });
          setCaller(response, { key, appids: undefined });
        },
      });
      if (answer === undefined) next();
      else sendAnswer(response, answer);
    } catch (error) {
      sendError(options, error, request, response);
    }
  };
}

/** The query and the body: some clients put a field into the other one. */
function fieldsOf({ query, body }: Request): Record<string, unknown> {
  if (typeof body !== 'string' || body.trim() === '') return query;
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new FacadeError(47001);
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new FacadeError(47001);
  return { ...query, ...json };
}

/** What the parser of bodies refuses. */
function refuse(options: FacadeRoutesOptions): ErrorRequestHandler {
  return (_thrown: unknown, request, response, next) => {
    if (response.headersSent) next(_thrown);
    else sendError(options, new FacadeError(47001), request, response);
  };
}

function sendError(
  { log, audit }: FacadeRoutesOptions,
  thrown: unknown,
  request: Request,
  response: Response,
): void {
  const error = thrown instanceof FacadeError ? thrown : asKeeperError(thrown);
  const code = error instanceof FacadeError ? `errcode ${error.errcode}` : error.code;
  response.locals.code = code;
  if (code === 'internal') log.error('request failed', { path: request.path, error: thrown });
  else if (!(error instanceof FacadeError) && isRefusal(error, response)) {
    response.locals.refused = true;
    audit.refused(entryOf(request, response));
  } else log.debug('request refused', { path: request.path, code });
  sendAnswer(response, errorAnswer(error, requestIdOf(response)));
}
