import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Clock } from './clock.ts';
import { connect } from './connect.ts';
import type { Proxy } from './proxy.ts';
import { connectThrough, ProxyError, type ProxyFault } from './tunnel.ts';

/** Bytes of an answer, unless a call is known for longer ones. */
export const MAX_ANSWER_BYTES = 64 * 1024;

/** An exchange that brought no answer. */
export class HttpClientError extends Error {
  readonly fault: 'timeout' | 'unreachable' | 'bad_body' | ProxyFault;
  /** The request was on its way: it may have taken effect. */
  readonly sent: boolean;

  constructor(fault: HttpClientError['fault'], sent: boolean, cause?: unknown) {
    super(fault, cause === undefined ? undefined : { cause });
    this.name = 'ExchangeError';
    this.fault = fault;
    this.sent = sent;
  }
}

export interface HttpAnswer {
  status: number;
  body: string;
  /** The `Date` header, epoch ms. */
  date: number | undefined;
}

/**
 * One HTTP exchange. node:http rather than fetch, because only sockets tell whether anything was
 * sent, and that decides whether another host may be asked.
 * @param payload JSON to POST; without it, GET
 * @param signal ends it: a `timeout`
 * @param headers besides those of the payload
 * @param proxy that it goes through; whatever the proxy does wrong before there is a connection, nothing
 *   was sent
 * @throws HttpClientError
 */
export async function sendRequest(
  url: URL,
  payload: Buffer | undefined,
  clock: Clock,
  signal: AbortSignal,
  maxAnswerBytes: number,
  headers: Readonly<Record<string, string>> = {},
  proxy?: Proxy,
): Promise<HttpAnswer> {
  let socket: Socket;
  try {
    socket = await (proxy === undefined
      ? connect(url, clock, signal)
      : connectThrough(proxy, url, clock, signal));
  } catch (error) {
    if (error instanceof ProxyError) throw new HttpClientError(error.fault, false, error.cause);
    throw new HttpClientError(signal.aborted ? 'timeout' : 'unreachable', false, error);
  }
  return speak(socket, url, payload, signal, maxAnswerBytes, headers);
}

/** Sends the one request of this connection, and reads its answer. */
function speak(
  socket: Socket,
  url: URL,
  payload: Buffer | undefined,
  signal: AbortSignal,
  maxAnswerBytes: number,
  headers: Readonly<Record<string, string>>,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    let sent = false;
    const fail = (fault: HttpClientError['fault'], cause?: unknown) => {
      outgoing.destroy();
      reject(new HttpClientError(fault, sent, cause));
    };
    const outgoing = (url.protocol === 'https:' ? https : http).request(url, {
      // So that nothing is ever sent on another connection than this one.
      createConnection: () => socket,
      signal,
      ...(payload === undefined
        ? { method: 'GET', headers }
        : { method: 'POST', headers: { ...headers, ...of(payload) } }),
    });
    outgoing.on('socket', () => {
      sent = true;
      outgoing.end(payload);
    });
    outgoing.on('error', (error) => fail(signal.aborted ? 'timeout' : 'unreachable', error));
    // Also ends what is neither an answer nor an error, such as a switch of protocols.
    outgoing.on('close', () =>
      fail(signal.aborted ? 'timeout' : sent ? 'bad_body' : 'unreachable'),
    );
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > maxAnswerBytes) fail('bad_body');
      });
      response.on('error', (error) => fail(signal.aborted ? 'timeout' : 'bad_body', error));
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, body, date: dateOf(response.headers.date) });
      });
    });
  });
}

function of(payload: Buffer): http.OutgoingHttpHeaders {
  return { 'content-type': 'application/json', 'content-length': payload.length };
}

/** Only the one form that RFC 9110 lets senders use: Date.parse reads a date into almost any text. */
function dateOf(header: string | undefined): number | undefined {
  const date = Date.parse(header ?? '');
  return !Number.isNaN(date) && new Date(date).toUTCString() === header ? date : undefined;
}
