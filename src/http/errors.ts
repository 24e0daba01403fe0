import type { ServerResponse } from 'node:http';
import type { ErrorRequestHandler, Request, Response } from 'express';
import { asKeeperError, KeeperError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Answering, Asked } from './request-response.ts';

/** Turns whatever was thrown into an answer: in one way, and in the form of each part of HTTP. */

export interface ErrorRenderer<In extends Asked = Asked, Out extends ServerResponse = Answering> {
  log: Log;
  /** What the log says of a fault of ours, of what can be had later, and of whatever is refused. */
  sentences: { fault: string; later?: string; refused: string };
  fields(error: KeeperError, request: In, response: Out): Readonly<Record<string, unknown>>;
  /** Tells of a refusal elsewhere than at `debug`. @returns whether it did */
  tellRefusal?(error: KeeperError, request: In, response: Out): boolean;
  /** Seconds for `Retry-After`; undefined: without one. */
  retryAfter(error: KeeperError): number | undefined;
  send(error: KeeperError, request: In, response: Out): void;
}

/** As Express's handler of errors: it cuts off an answer that has begun. */
export function respondWith(renderer: ErrorRenderer<Request, Response>): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    if (response.headersSent) next(thrown);
    else respond(renderer, thrown, request, response);
  };
}

/** The same for what is served before Express. */
export function respondBeforeExpress<In extends Asked, Out extends ServerResponse>(
  renderer: ErrorRenderer<In, Out>,
  thrown: unknown,
  request: In,
  response: Out,
): void {
  // Nobody may take an answer that broke off for a whole one.
  if (response.headersSent) request.socket.destroy();
  else respond(renderer, thrown, request, response);
}

function respond<In extends Asked, Out extends ServerResponse>(
  renderer: ErrorRenderer<In, Out>,
  thrown: unknown,
  request: In,
  response: Out,
): void {
  const { log, sentences } = renderer;
  const error = fromHttp(thrown);
  const fields = renderer.fields(error, request, response);
  if (error.code === 'internal') log.error(sentences.fault, { ...fields, error: thrown });
  else if (error.status >= 500 && sentences.later !== undefined) {
    log.warn(sentences.later, { ...fields, error });
  } else if (renderer.tellRefusal?.(error, request, response) !== true) {
    log.debug(sentences.refused, { ...fields });
  }
  const seconds = renderer.retryAfter(error);
  if (seconds !== undefined) response.setHeader('Retry-After', String(seconds));
  renderer.send(error, request, response);
}

/** For programs, which need no more than a moment. */
export function soon({ retryAfterSeconds, retryable }: KeeperError): number | undefined {
  return retryAfterSeconds ?? (retryable ? 1 : undefined);
}

/** The faults of the router and of the body's parser carry a status of their own. */
interface HttpFault {
  status?: unknown;
  type?: unknown;
}

/** What to answer to anything a handler or the router threw. */
function fromHttp(thrown: unknown): KeeperError {
  const { status, type } = (thrown ?? {}) as HttpFault;
  if (thrown instanceof KeeperError || typeof status !== 'number') return asKeeperError(thrown);
  if (type === 'entity.parse.failed') {
    return new KeeperError('bad_request', 'The body must be a JSON object.');
  }
  if (status >= 400 && status < 500) return new KeeperError('bad_request', badRequest(type));
  return asKeeperError(thrown);
}

function badRequest(type: unknown): string {
  switch (type) {
    case 'entity.too.large':
      return 'The body is too long.';
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return 'The body must be UTF-8, and not compressed.';
    default:
      return 'bad request';
  }
}
