import type { IncomingMessage, ServerResponse } from 'node:http';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { Answer, Receiver } from '../../callbacks/receiver.ts';
import type { RefusedPushCounter } from '../../callbacks/refused-pushes.ts';
import { respondBeforeExpress } from '../errors.ts';
import { sendText } from '../request-response.ts';
import { observeResponse, type Seen } from '../internal/route.ts';
import { MAX_BODY_BYTES, type Front } from '../server.ts';
import { publicErrors } from './errors.ts';

/**
 * A push over HTTP, on Node's own request and response: nearly all requests to the public listener are
 * pushes, and the layers of Express cost more than all that a push needs. The usual ones come in by the
 * front below; whatever is unusual about an address comes in by Express, and here all the same.
 */

export const PUSH_PATHS = ['/callback/:component', '/callback/:component/:authorizer'] as const;

/** Milliseconds of silence after which the rest of a refused body is no longer waited for. */
const LINGER_MS = 1_000;
/** Bytes: most pushes have fewer. */
const FIRST_BODY_BYTES = 2_048;
/** An Encrypt as it is written in XML or in JSON: no compressed body has one. */
const PLAIN = /[<"]Encrypt\b/i;
/** An address in its plain form, with a query in which nothing is to be decoded. */
const USUAL = /^(\/callback\/(wx[0-9a-f]{16})(?:\/(wx[0-9a-f]{16}))?)\?([\w=&-]+)$/;

const routeOf = () => PUSH_PATHS[0];

/** What an address says. */
export interface PushAddress {
  component: string;
  authorizer: string | undefined;
  query: Readonly<Record<string, unknown>>;
}

export interface PushFrontOptions {
  receiver: Receiver;
  log: Log;
  observe?: ((seen: Seen) => void) | undefined;
  /** Counts and tells of the pushes that are refused. */
  refused?: RefusedPushCounter | undefined;
}

/** Serves pushes at plain addresses before Express. */
export function createPushFront(options: PushFrontOptions): Front {
  const { receiver, log, observe, refused } = options;
  const errors = publicErrors(log, refused);
  return (request, response) => {
    const { method, url = '' } = request;
    if (method !== 'POST') return false;
    const [, path = '', component = '', authorizer, search = ''] = USUAL.exec(url) ?? [];
    const query = plainQuery(search);
    if (query === undefined || !receiver.knows(component)) return false;
    if (observe !== undefined) observeResponse({ request, response, routeOf, observe });
    servePush(receiver, request, response, { component, authorizer, query }).catch(
      (thrown: unknown) => {
        respondBeforeExpress(errors, thrown, Object.assign(request, { path, query }), response);
      },
    );
    return true;
  };
}

/** As Express has it. @returns undefined when it is to decide: a name is repeated, or is part of the address */
function plainQuery(search: string): Record<string, string> | undefined {
  const query: Record<string, string> = {};
  for (const pair of search.split('&')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at);
    if (at < 1 || name === 'appid' || Object.hasOwn(query, name)) return undefined;
    query[name] = pair.slice(at + 1);
  }
  return query;
}

/** @throws KeeperError; nothing is answered then */
export async function servePush(
  receiver: Receiver,
  request: IncomingMessage,
  response: ServerResponse,
  { component, authorizer, query }: PushAddress,
): Promise<void> {
  const begunAt = receiver.begin();
  const body = await readBody(request);
  assertNotCompressed(request, body);
  const answer = await receiver.receive({
    componentAppid: component,
    ...(authorizer === undefined ? {} : { authorizerAppid: authorizer }),
    query,
    body,
    contentType: request.headers['content-type'],
    begunAt,
  });
  sendAnswer(response, answer);
}

/** Sends the answer to a push, and lets what follows it begin when it is out. */
function sendAnswer(response: ServerResponse, { type, body, afterwards }: Answer): void {
  if (afterwards !== undefined) {
    // WeChat may have hung up while Redis was slow: there is nothing left to close then.
    if (response.closed) afterwards();
    else response.once('close', afterwards);
  }
  sendText(response, 200, { type, text: body });
}

/**
 * The body, as bytes. One that is too large is refused as soon as that is known; what still comes
 * of it is thrown away, so that the sender can read the answer.
 * @throws KeeperError `too_large`, `bad_request`
 */
async function readBody(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  try {
    if (announced > MAX_BODY_BYTES) throw tooLarge();
    return await gatherBody(request, announced);
  } catch (error) {
    request.resume();
    // Node ends the connection then. A listener of our own would stay on it, one for each such body.
    request.socket.setTimeout(LINGER_MS);
    throw error;
  }
}

/**
 * Copied together as it comes, unless it comes in one piece, as most do: a body may be sent byte by byte,
 * and what Node makes of each piece takes many times as much memory as is in it.
 */
function gatherBody(request: IncomingMessage, announced: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let body: Buffer = Buffer.alloc(0);
    let length = 0;
    const take = (piece: Buffer) => {
      const next = length + piece.length;
      if (next === announced && length === 0) {
        body = piece;
        length = next;
        return;
      }
      if (next > MAX_BODY_BYTES) {
        request.off('data', take);
        reject(tooLarge());
        return;
      }
      if (next > body.length) {
        const size = Math.min(MAX_BODY_BYTES, Math.max(FIRST_BODY_BYTES, next, 2 * body.length));
        const larger = Buffer.alloc(size);
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
    request.on('data', take).once('end', () => {
      // Every request is closed in the end, and errors take their time to be made.
      request.off('close', broken);
      resolve(body.subarray(0, length));
    });
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
function assertNotCompressed({ headers }: IncomingMessage, body: Buffer): void {
  const encodings = (headers['content-encoding'] ?? '').split(',').map((one) => one.trim());
  if (encodings.every((one) => one === '' || one.toLowerCase() === 'identity')) return;
  if (PLAIN.test(body.toString('latin1'))) return;
  throw new KeeperError('unsupported_media', 'compressed bodies are not accepted', {
    reason: 'form',
  });
}
