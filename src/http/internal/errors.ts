import type { Log } from '../../lib/log.ts';
import { soon, type ErrorRenderer } from '../errors.ts';
import { requestIdOf, sendJson } from '../request-response.ts';
import { entryOf, isRefusal, type Audit } from './audit.ts';
import { knownCaller } from './caller.ts';

/** What the internal listener says of errors, but for its pages: the schema Error of its document. */
export function internalErrors(log: Log, audit: Pick<Audit, 'refused'>): ErrorRenderer {
  return {
    log,
    sentences: {
      fault: 'request failed',
      later: 'request not served',
      refused: 'request refused',
    },
    fields({ code }, _request, response) {
      // The trail is written when the answer is out, and finds it there.
      response.locals.code = code;
      return { request_id: requestIdOf(response), code, key: knownCaller(response)?.key.id };
    },
    tellRefusal(error, request, response) {
      if (!isRefusal(error, response)) return false;
      response.locals.refused = true;
      audit.refused(entryOf(request, response));
      return true;
    },
    retryAfter: soon,
    send({ code, message, status }, _request, response) {
      const body = { error: { code, message, request_id: requestIdOf(response) } };
      sendJson(response, status, JSON.stringify(body));
    },
  };
}
