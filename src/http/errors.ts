import type { ServerResponse } from 'node:http';
import type { ErrorRequestHandler } from 'express';
import { asKeeperError, KeeperError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { RefusedPushCounter, RefusedRequest } from '../callbacks/refused.ts';
import { entryOf, isRefusal, type Audit } from './internal/audit.ts';
import { knownCaller } from './internal/caller.ts';
import { requestIdOf, sendJson, sendText, type Answering, type Asked } from './request-response.ts';

/** Turns whatever was thrown into the answer: one place for each listener's form. */

/** The faults of the router and of the body's parser carry a status of their own. */
interface HttpFault {
  status?: unknown;
  type?: unknown;
}

/** @param refused counts and tells of the pushes among what is refused */
export function publicErrors(log: Log, refused?: RefusedPushCounter): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    const { method, path, query, ip: address } = request;
    const about = { method, path, query, address };
    if (!answerPublicError({ log, refused }, thrown, about, response)) next(thrown);
  };
}

/** @returns false when another answer has begun already */
export function answerPublicError(
  { log, refused }: { log: Log; refused?: RefusedPushCounter | undefined },
  thrown: unknown,
  about: RefusedRequest,
  response: ServerResponse,
): boolean {
  if (response.headersSent) return false;
  const error = fromHttp(thrown);
  const { method, path } = about;
  const fields = { method, path: path.slice(0, 100), status: error.status, code: error.code };
  if (error.code === 'internal') {
    log.error('a push met a fault of ours', { ...fields, error: thrown });
  } else if (error.status >= 500) {
    const message = 'a push could not be stored; WeChat was asked to send it again';
    log.warn(message, { ...fields, error });
  } else if (refused?.note(about, error) !== true) {
    // The Internet's noise.
    log.debug('request refused', fields);
  }
  setRetryAfter(response, error);
  sendText(response, error.status, { text: error.message });
  return true;
}

export function internalErrors(log: Log, audit: Pick<Audit, 'refused'>): ErrorRequestHandler {
  const answer = errorAnswers(log, audit);
  return (thrown: unknown, request, response, next) => {
    if (response.headersSent) next(thrown);
    else answer(thrown, request, response);
  };
}

/** What an error of the internal listener is answered with, counted as and told of. */
export type AnswerError = (thrown: unknown, request: Asked, response: Answering) => void;

export function errorAnswers(log: Log, audit: Pick<Audit, 'refused'>): AnswerError {
  return (thrown, request, response) => {
    const error = fromHttp(thrown);
    const { code, message, status } = error;
    const requestId = requestIdOf(response);
    response.locals.code = code;
    const key = knownCaller(response)?.key.id;
    const fields = { request_id: requestId, code, key };
    if (code === 'internal') log.error('request failed', { ...fields, error: thrown });
    else if (status >= 500) log.warn('request not served', { ...fields, error });
    else if (isRefusal(error, response)) {
      response.locals.refused = true;
      audit.refused(entryOf(request, response));
    } else log.debug('request refused', fields);
    setRetryAfter(response, error);
    const body = { error: { code, message, request_id: requestId } };
    sendJson(response, status, JSON.stringify(body));
  };
}

function setRetryAfter(response: ServerResponse, error: KeeperError): void {
  if (error.retryAfterSeconds !== undefined) {
    response.setHeader('Retry-After', String(error.retryAfterSeconds));
  } else if (error.retryable) response.setHeader('Retry-After', '1');
}

/** What to answer to anything a handler or the router threw. */
export function fromHttp(thrown: unknown): KeeperError {
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
