import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * A request and its answer as both doors have them: the one before Express, and Express's own, whose
 * requests and responses are these with more to them. What is written for them runs behind either door.
 */
export type Asked = IncomingMessage;

export type Answering = ServerResponse & {
  /** What is known of the request so far; Express makes it for what comes through its door. */
  locals: Record<string, unknown>;
};

/** What every answer of the internal listener has, whatever comes of the request. */
export function beginAnswer(response: Answering): void {
  response.setHeader('Cache-Control', 'no-store');
  response.setHeader('X-Content-Type-Options', 'nosniff');
}

/** By which the answer's line in the log is found: made when somebody is told it, as few are. */
export function requestIdOf({ locals }: Answering): string {
  locals.requestId ??= randomUUID();
  return locals.requestId as string;
}

export function sendJson(response: Answering, status: number, json: string): void {
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.setHeader('Content-Length', Buffer.byteLength(json));
  response.end(response.req.method === 'HEAD' ? undefined : json);
}

/** @param type without its charset, which is UTF-8 */
export function sendText(
  response: ServerResponse,
  status: number,
  { type = 'text/plain', text }: { type?: string; text: string },
): void {
  response
    .writeHead(status, {
      'Content-Type': `${type}; charset=utf-8`,
      'Content-Length': Buffer.byteLength(text),
    })
    .end(response.req.method === 'HEAD' ? undefined : text);
}
