import type { ServerResponse } from 'node:http';
import type { RefusedPushCounter } from '../../callbacks/refused-pushes.ts';
import type { Log } from '../../lib/log.ts';
import { soon, type ErrorRenderer } from '../errors.ts';
import { sendText, type Asked } from '../request-response.ts';

/** A request with its address taken apart, as Express has it. */
export type AskedInPublic = Asked & { path: string; query: Readonly<Record<string, unknown>> };

/**
 * What the public listener says of errors, but for its pages: a line of text.
 * @param refused counts and tells of the pushes among what is refused
 */
export function publicErrors(
  log: Log,
  refused: RefusedPushCounter | undefined,
): ErrorRenderer<AskedInPublic, ServerResponse> {
  return {
    log,
    sentences: {
      fault: 'a push met a fault of ours',
      later: 'a push could not be stored; WeChat was asked to send it again',
      // The Internet's noise.
      refused: 'request refused',
    },
    fields: ({ status, code }, { method, path }) => {
      return { method, path: path.slice(0, 100), status, code };
    },
    tellRefusal(error, { method = '', path, query, socket }) {
      const about = { method, path, query, address: socket.remoteAddress };
      return refused?.note(about, error) === true;
    },
    retryAfter: soon,
    send: ({ status, message }, _request, response) => {
      sendText(response, status, { text: message });
    },
  };
}
