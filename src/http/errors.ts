import type { ErrorRequestHandler, Response } from 'express';
import { asKeeperError, KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { RefusedPushCounter } from '../pushes/refused.ts';
import { entryOf, isRefusal, type Audit } from './audit.ts';
import { knownCaller } from './caller.ts';

/** Turns whatever was thrown into the answer: one place for each listener's form. */

/** The faults of the router and of the body's parser carry a status of their own. */
interface HttpFault {
  status?: unknown;
  type?: unknown;
}

/** @param refused counts and tells of the pushes among what is refused */
export function publicErrors(log: Log, refused?: RefusedPushCounter): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    const error = fromHttp(thrown);
    if (response.headersSent) {
      next(thrown);
      return;
    }
    const { method, path, query, ip: address } = request;
    const fields = { method, path: path.slice(0, 100), status: error.status, code: error.code };
    if (error.code === 'internal') {
      log.error('a push met a fault of ours', { ...fields, error: thrown });
    } else if (error.status >= 500) {
      const message = 'a push could not be stored; WeChat was asked to send it again';
      log.warn(message, { ...fields, error });
    } else if (refused?.note({ method, path, query, address }, error) !== true) {
      // The Internet's noise.
      log.debug('request refused', fields);
    }
    setRetryAfter(response, error);
    response.status(error.status).type('text/plain').send(error.message);
  };
}

export function internalErrors(log: Log, audit: Pick<Audit, 'refused'>): ErrorRequestHandler {
  return (thrown: unknown, request, response, next) => {
    const error = fromHttp(thrown);
    if (response.headersSent) {
      next(thrown);
      return;
    }
    const requestId = String(response.locals.requestId);
    response.locals.code = error.code;
    const key = knownCaller(response)?.key.id;
    const fields = { request_id: requestId, code: error.code, key };
    if (error.code === 'internal') log.error('request failed', { ...fields, error: thrown });
    else if (error.status >= 500) log.warn('request not served', { ...fields, error });
    else if (isRefusal(error, response)) {
      response.locals.refused = true;
      audit.refused(entryOf(request, response));
    } else log.debug('request refused', fields);
    setRetryAfter(response, error);
    response
      .status(error.status)
      .json({ error: { code: error.code, message: error.message, request_id: requestId } });
  };
}

function setRetryAfter(response: Response, error: KeeperError): void {
  if (error.retryAfterSeconds !== undefined) {
    response.set('Retry-After', String(error.retryAfterSeconds));
  } else if (error.retryable) response.set('Retry-After', '1');
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
