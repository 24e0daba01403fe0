import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { systemClock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';

/**
 * Who holds a connection, and for how long. Node's timeouts watch over what a client sends; none of
 * them ends when a client does not read its answers, or sends an empty line now and then.
 */

/**
 * Why a connection was ended from here, or not even begun:
 * `full` every connection is in use; `made_room` it waited longest when another one came;
 * `unread` its answers were not read; `too_slow` a request did not arrive in time;
 * `idle` it was kept open without a request.
 */
export type Cut = 'full' | 'made_room' | 'unread' | 'too_slow' | 'idle';

export interface ConnectionLimits {
  /** Milliseconds that an answer may wait for its reader once it is made. */
  sendMs: number;
  /** Milliseconds between two requests, whatever is sent in between. */
  idleMs: number;
  /** Milliseconds between two looks at all of them. */
  checkMs: number;
  maxConnections: number;
  maxRequestsPerConnection: number;
}

interface Connection {
  /** When it last got on: was opened, began a request, was rid of an answer. Monotonic. */
  since: number;
  requests: number;
  /** Requests that are not answered to the end, and when the answer was first seen to be ready. */
  open: Map<ServerResponse, { request: IncomingMessage; readyAt?: number }>;
}

export interface Connections {
  /**
   * No further request on any connection: who asks is told so.
   * @param closing send whoever has had its last answer away, since nothing new is accepted
   */
  retire(closing: boolean): void;
  /** Whether the application has a request of this connection. */
  isServing(socket: Socket): boolean;
}

/** Watches the connections of a server from now on. Must be called before a request can arrive. */
export function watchConnections(
  server: Server,
  limits: ConnectionLimits,
  onCut: (cut: Cut, address: string) => void,
): Connections {
  const { maxConnections, maxRequestsPerConnection } = limits;
  const connections = new Map<Socket, Connection>();
  const state = { retired: false, closing: false };
  const cut = (socket: Socket, why: Cut) => {
    onCut(why, socket.remoteAddress ?? '');
    connections.delete(socket);
    socket.destroy();
  };
  // Further ones do not reach the application. Node says `Connection: close` then, and keeps it open.
  server.maxRequestsPerSocket = maxRequestsPerConnection;
  server.on('connection', (socket: Socket) => {
    // Not by Node's own `maxConnections`: it would turn people away for those who do nothing.
    const waiting = connections.size < maxConnections ? undefined : longestWaiting(connections);
    if (waiting !== undefined) cut(waiting, 'made_room');
    if (connections.size >= maxConnections) {
      cut(socket, 'full');
      return;
    }
    connections.set(socket, { since: systemClock.monotonic(), requests: 0, open: new Map() });
    socket.once('close', () => connections.delete(socket));
  });
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    const connection = connections.get(socket);
    if (connection === undefined) return;
    connection.since = systemClock.monotonic();
    connection.open.set(response, { request });
    connection.requests += 1;
    // Node ends the connection for this header. Nobody who keeps one may go on being served here.
    const last = connection.requests >= maxRequestsPerConnection;
    if (state.retired || last) response.setHeader('Connection', 'close');
    response.on('close', () => {
      connection.since = systemClock.monotonic();
      connection.open.delete(response);
      if (connection.open.size > 0) return;
      if (state.closing) socket.destroySoon();
      // Later than clients are told, so that none of them sends into a connection that just ends.
      else socket.setTimeout(limits.idleMs + KEEP_ALIVE_SLACK_MS);
    });
  };
  server.on('request', onRequest).on('checkContinue', onRequest);
  const timer = setInterval(() => {
    const now = systemClock.monotonic();
    for (const [socket, one] of connections) {
      const why = overdue(one, limits, now);
      if (why !== undefined) cut(socket, why);
    }
  }, limits.checkMs).unref();
  server.once('close', () => clearInterval(timer));
  return {
    isServing: (socket) => (connections.get(socket)?.open.size ?? 0) > 0,
    retire(closing) {
      state.retired = true;
      state.closing = closing;
      for (const { open } of connections.values()) keepNone(open.keys());
    },
  };
}

function keepNone(answers: Iterable<ServerResponse>): void {
  for (const response of answers) {
    if (!response.headersSent) response.setHeader('Connection', 'close');
  }
}

/** Milliseconds that a connection outlives the time that `Keep-Alive` promises. */
const KEEP_ALIVE_SLACK_MS = 1_000;

function overdue(
  { since, open }: Connection,
  { sendMs, idleMs }: ConnectionLimits,
  now: number,
): Cut | undefined {
  // Node's own timeout comes first, and begins anew with every byte, be it part of a request or not.
  if (open.size === 0) return now - since > idleMs + 2 * KEEP_ALIVE_SLACK_MS ? 'idle' : undefined;
  for (const [response, exchange] of open) {
    if (!response.writableEnded) continue;
    exchange.readyAt ??= now;
    if (now - exchange.readyAt >= sendMs) return 'unread';
  }
  return undefined;
}

/** Of those that wait for their client, and not for us, the one that has done so for longest. */
function longestWaiting(connections: ReadonlyMap<Socket, Connection>): Socket | undefined {
  let oldest: { socket: Socket; since: number } | undefined;
  for (const [socket, { since, open }] of connections) {
    const atWork = [...open].some(([response, one]) => {
      return one.request.complete && !response.writableEnded;
    });
    if (!atWork && since < (oldest?.since ?? Infinity)) oldest = { socket, since };
  }
  return oldest?.socket;
}

/** Milliseconds between two log lines about connections that were cut or refused. */
const TELL_MS = 60_000;
/** Addresses that are counted between two lines. */
const MAX_ADDRESSES = 1_000;
/** What scanners and broken clients of any public address bring about is counted and not told. */
const TOLD: readonly Cut[] = ['full', 'made_room', 'unread'];

/**
 * Counts, and tells whoever reads the log at once and then once a minute for as long as it lasts.
 * @returns what `listen` calls for each of them
 */
export function tellCuts(
  listener: 'public' | 'internal',
  log: Log,
  count: (listener: 'public' | 'internal', cut: Cut) => void,
): (cut: Cut, address: string) => void {
  let untold = new Map<Cut, number>();
  let addresses = new Map<string, number>();
  let waiting = false;
  const tell = () => {
    waiting = untold.size > 0;
    if (!waiting) return;
    const [mostly] = [...addresses].sort(([, one], [, other]) => other - one);
    const about = { listener, ...Object.fromEntries(untold), mostly_from: mostly?.[0] };
    log.warn('connections were refused or cut', about);
    untold = new Map();
    addresses = new Map();
    setTimeout(tell, TELL_MS).unref();
  };
  return (cut, address) => {
    count(listener, cut);
    if (!TOLD.includes(cut)) return;
    untold.set(cut, (untold.get(cut) ?? 0) + 1);
    if (addresses.has(address) || addresses.size < MAX_ADDRESSES) {
      addresses.set(address, (addresses.get(address) ?? 0) + 1);
    }
    if (!waiting) tell();
  };
}
