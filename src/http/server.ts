import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { parse } from 'node:querystring';
import type { Express } from 'express';
import type { ConfigFault } from '../config/faults.ts';
import { KeeperError } from '../lib/errors.ts';
import type { RefusedRequest } from '../callbacks/refused-pushes.ts';
import { watchConnections, type Cut } from './connections.ts';

/**
 * A listener with every wait bounded. A public address meets slow and endless requests sooner or
 * later; Node's defaults would let each of them hold a socket for minutes, or for ever.
 */
export interface Limits {
  /** Milliseconds for the head of a request, and for the whole of it. */
  headersMs: number;
  requestMs: number;
  /**
   * Milliseconds that a connection may be idle between two requests. More than the 60 s for which
   * nginx (`keepalive_timeout` of an upstream) and the load balancers of clouds keep theirs: whoever
   * ends it first must not be the one who does not send, or a push meets a connection that just ends.
   */
  idleMs: number;
  /** Milliseconds without a byte in either direction, whatever is going on. No answer takes as long. */
  silenceMs: number;
  /** Milliseconds that an answer may wait for its reader. */
  sendMs: number;
  /** Milliseconds between two looks at all connections: the limits above are kept to within this. */
  checkMs: number;
  maxConnections: number;
  /** As many as nginx sends over a connection by itself (`keepalive_requests`). */
  maxRequestsPerConnection: number;
}

const LIMITS: Limits = {
  headersMs: 5_000,
  requestMs: 5_000,
  idleMs: 75_000,
  silenceMs: 60_000,
  sendMs: 10_000,
  checkMs: 500,
  maxConnections: 2_000,
  maxRequestsPerConnection: 1_000,
};
const MAX_HEADER_BYTES = 8 * 1024;

/** Bytes of a request body; WeChat's pushes are far smaller. */
export const MAX_BODY_BYTES = 64 * 1024;

const CLIENT_ERRORS: Readonly<Record<string, string>> = {
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
};

const REQUEST_LINE = /^\s*([A-Za-z]{1,16}) (\S{1,8192})/;

/** As Node's parser has it: what is wrong in its own fixed words, and the bytes that it was reading. */
interface ClientError extends NodeJS.ErrnoException {
  reason?: string;
  rawPacket?: Buffer;
}

export interface ListenOptions {
  /** Others than the usual ones. */
  limits?: Partial<Limits>;
  /** Called for each connection that was ended from here, or refused. */
  onCut?: (cut: Cut, address: string) => void;
  /** Called for each request that is refused before the application sees it, as far as it can be read. */
  onUnserved?: OnUnserved;
  /** Served before the application, and without its layers. */
  front?: Front;
}

/**
 * A route that is asked so often that Express's layers would cost more than the work.
 * @returns false for whatever is unusual about a request: untouched, it is the application's
 */
export type Front = (request: http.IncomingMessage, response: http.ServerResponse) => boolean;

type OnUnserved = (request: RefusedRequest, error: KeeperError) => void;

export interface Listener {
  /** The port in use, also when 0 was asked for. */
  port: number;
  /** Goes on serving, and tells whoever asks not to keep its connection. */
  retire(): void;
  /** Stops accepting; open requests get `graceMs` to end. */
  close(graceMs: number): Promise<void>;
}

/** @throws the listen error, e.g. EADDRINUSE */
export async function listen(
  app: Express,
  host: string,
  port: number,
  options: ListenOptions = {},
): Promise<Listener> {
  const { limits: others, onCut = () => undefined, onUnserved = () => undefined } = options;
  const { front = () => false } = options;
  const limits = { ...LIMITS, ...others };
  const server = http.createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    // The first two are only enforced when connections are checked.
    connectionsCheckingInterval: limits.checkMs,
    maxHeaderSize: MAX_HEADER_BYTES,
    // Node would answer for itself, and nobody would know.
    requireHostHeader: false,
  });
  server.timeout = limits.silenceMs;
  const connections = watchConnections(server, limits, onCut);
  const serve = onlyWithHost(app, front, onUnserved);
  server.on('request', serve);
  // "May I send this?" is answered by the application, or by inviting what it will read.
  server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
    if (Number(request.headers['content-length'] ?? 0) <= MAX_BODY_BYTES) response.writeContinue();
    serve(request, response);
  });
  server.on('checkExpectation', (request: http.IncomingMessage, response: http.ServerResponse) =>
    leave(request, response, onUnserved, { status: 417, why: 'an Expect that cannot be met' }),
  );
  server.on('clientError', (error: ClientError, socket: Socket) => {
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') onCut('too_slow', socket.remoteAddress ?? '');
    const [, method, target] = REQUEST_LINE.exec(error.rawPacket?.toString('latin1') ?? '') ?? [];
    // What the application has begun with, it refuses itself.
    if (method !== undefined && target !== undefined && !connections.isServing(socket)) {
      onUnserved(...refusalOf(method, target, socket, error.reason ?? error.code ?? ''));
    }
    refuse(error, socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    retire: () => connections.retire(false),
    close: (graceMs) =>
      new Promise((resolve) => {
        connections.retire(true);
        const force = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearTimeout(force);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}

/** The application, but for what HTTP forbids to serve. */
function onlyWithHost(app: Express, front: Front, onUnserved: OnUnserved): http.RequestListener {
  return (request, response) => {
    const { httpVersion, headers } = request;
    if (httpVersion === '1.1' && headers.host === undefined) {
      leave(request, response, onUnserved, { status: 400, why: 'no Host' });
      return;
    }
    request.url = pathOf(request.url);
    if (!front(request, response)) app(request, response);
  };
}

function leave(
  { method = '', url = '', socket }: http.IncomingMessage,
  response: http.ServerResponse,
  onUnserved: OnUnserved,
  { status, why }: { status: number; why: string },
): void {
  onUnserved(...refusalOf(method, url, socket, why));
  response.writeHead(status, { Connection: 'close' }).end();
}

function refusalOf(
  method: string,
  target: string,
  { remoteAddress: address }: Socket,
  why: string,
): [RefusedRequest, KeeperError] {
  const [path = '', ...search] = pathOf(target).split('?');
  const error = new KeeperError('bad_request', `not taken as HTTP: ${why}`, { reason: 'form' });
  return [{ method: method.toUpperCase(), path, query: parse(search.join('?')), address }, error];
}

const WHOLE_URL = /^[a-z][a-z\d+.-]*:\/\/[^/?#]*(.*)$/is;

/**
 * What is asked for, be it by a whole URL as of a proxy; whose name is in it does not matter here. It is
 * not parsed: what is no URL would throw in Express's router, before anything of ours has run.
 */
function pathOf(target = '/'): string {
  const [, rest] = WHOLE_URL.exec(target) ?? [];
  if (rest === undefined) return target;
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/**
 * What listening fails for on this machine for as long as the setting stays as it is. A port in use is
 * not among it: it may be the former process, which ends, so that trying again helps.
 */
const LISTEN_FAULTS: Readonly<Record<string, readonly ['HOST' | 'PORT', string]>> = {
  EADDRNOTAVAIL: ['HOST', 'is no address of this machine'],
  EAFNOSUPPORT: ['HOST', 'is an address of a kind that this machine has not got'],
  EINVAL: ['HOST', 'is an address that needs its interface: fe80::1%eth0'],
  ENOTFOUND: ['HOST', 'is a name that has no address'],
  EACCES: ['PORT', 'is one that this user may not listen on: take one of 1024 or more'],
};
/** Below it some systems want a right for listening. */
const FIRST_FREE_PORT = 1024;

/** Tries an address out, before anything slow begins. @returns the fault of a setting, if it has one */
export async function listenFault(
  listener: 'PUBLIC' | 'INTERNAL',
  host: string,
  port: number,
): Promise<ConfigFault | undefined> {
  const server = net.createServer();
  const fault = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once('error', resolve);
    // The port itself only where it matters: nobody shall reach a server that is closed at once.
    server.listen(port < FIRST_FREE_PORT ? port : 0, host, () => resolve(undefined));
  });
  server.close();
  const known = LISTEN_FAULTS[fault?.code ?? ''];
  return known && { setting: `${listener}_${known[0]}`, text: known[1] };
}

/**
 * Node's answer to what is no HTTP or comes too slowly, unless an answer was given already. Who has
 * sent nothing gets none: a load balancer that opens connections beforehand would take it for the
 * answer to what it sends next.
 */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || socket.bytesWritten > 0 || socket.bytesRead === 0) {
    socket.destroy();
    return;
  }
  const status = CLIENT_ERRORS[error.code ?? ''] ?? '400 Bad Request';
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
}
