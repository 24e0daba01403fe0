import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../src/lib/clock.ts';

/** A proxy for outgoing calls on this machine, by CONNECT, that also does what proxies do wrong. */
export interface ConnectProxy {
  /** `http://127.0.0.1:…`, or `https://localhost:…` with a certificate. */
  url: string;
  /** The same with its user and password. */
  urlWithLogin: string;
  /** What was asked for, oldest first. */
  asked: { host: string; authorization: string | undefined; connection: string | undefined }[];
  /** Connections that clients have to it. */
  open(): number;
  /** Bytes that clients have sent through tunnels. */
  bytesSent(): number;
  behave(how: ProxyBehaviour): void;
  /** Connections are refused, and those that there are end. */
  stop(): Promise<void>;
  /** As before, on the same port. */
  start(): Promise<void>;
}

/**
 * A number is the status that is answered. `hangs up`: without an answer. `cuts`: the tunnel stands, and ends
 * when the client says something, which is passed on by `cuts late`.
 */
export type ProxyBehaviour =
  | 'works'
  | 'hangs'
  | 'drips'
  | 'hangs up'
  | 'speaks another language'
  | 'says too much'
  | 'never ends its headers'
  | 'cuts'
  | 'cuts late'
  | number;

interface ProxyOptions {
  /** User and password that it wants. */
  login?: readonly [user: string, password: string];
  /** It speaks TLS. */
  tls?: { key: Buffer; cert: Buffer };
  /** For what drips. */
  clock?: Clock;
  /** Hosts to which it lets through, as `host:port`; all unless given. */
  allowed?: () => readonly string[];
}

const DRIP_MS = 400;

export async function createConnectProxy(options: ProxyOptions = {}): Promise<ConnectProxy> {
  const { login, tls, allowed } = options;
  const sockets = new Set<Duplex>();
  let how: ProxyBehaviour = 'works';
  let bytes = 0;
  let port = 0;
  let server: Server | undefined;
  const asked: ConnectProxy['asked'] = [];
  const expected = login && `Basic ${Buffer.from(login.join(':')).toString('base64')}`;

  const take = (request: IncomingMessage, client: Duplex): void => {
    const { url: host = '', headers } = request;
    const { 'proxy-authorization': authorization, connection } = headers;
    asked.push({ host, authorization, connection });
    client.on('error', () => client.destroy());
    client.on('end', () => client.destroy());
    const status = expected !== undefined && authorization !== expected ? 407 : how;
    if (typeof status === 'number') refuse(client, status);
    else if (allowed?.().includes(host) === false) refuse(client, 403);
    else if (status === 'hangs up') client.end();
    else if (status === 'drips') drip(client, options.clock);
    else if (status === 'speaks another language') client.end('SSH-2.0-OpenSSH_9.2\r\n');
    else if (status === 'never ends its headers') {
      client.write(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(100_000)}`);
    } else if (status !== 'hangs') {
      lead(client, host, status);
      return;
    }
    // Or else nobody would notice that the client has gone.
    client.resume();
  };
  const lead = (client: Duplex, host: string, as: ProxyBehaviour) => {
    const target = new URL(`http://${host}`);
    const upstream = connect(Number(target.port), target.hostname);
    sockets.add(upstream);
    upstream.on('close', () => {
      sockets.delete(upstream);
      client.destroy();
    });
    upstream.on('error', () => refuse(client, 502));
    client.on('close', () => upstream.destroy());
    upstream.once('connect', () => {
      const early = as === 'says too much' ? 'HTTP/1.1 200 OK\r\n\r\n{"errcode":0}' : '';
      client.write(`HTTP/1.1 200 Connection established\r\n\r\n${early}`);
      upstream.pipe(client);
      client.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (as === 'cuts') client.destroy();
        else upstream.write(chunk, () => as === 'cuts late' && client.destroy());
      });
    });
  };
  const start = async () => {
    server = tls ? createSecureServer(tls) : createServer();
    server.on('connect', take);
    server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      sockets.add(socket);
      clients.add(socket);
      socket.on('close', () => {
        sockets.delete(socket);
        clients.delete(socket);
      });
    });
    server.on('tlsClientError', () => undefined);
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  };
  const clients = new Set<Duplex>();
  await start();
  const [scheme, host] = tls ? ['https', 'localhost'] : ['http', '127.0.0.1'];
  const credentials = login ? `${login.map(encodeURIComponent).join(':')}@` : '';
  return {
    url: `${scheme}://${host}:${port}`,
    urlWithLogin: `${scheme}://${credentials}${host}:${port}`,
    asked,
    open: () => clients.size,
    bytesSent: () => bytes,
    behave: (next) => void (how = next),
    async stop() {
      for (const socket of sockets) socket.destroy();
      if (server?.listening !== true) return;
      server.close();
      await once(server, 'close');
    },
    start,
  };
}

function refuse(client: Duplex, status: number): void {
  const challenge = status === 407 ? 'Proxy-Authenticate: Basic realm="proxy"\r\n' : '';
  client.end(`HTTP/1.1 ${status} No\r\n${challenge}Content-Length: 3\r\n\r\nno\n`);
}

/** Headers without an end, a few letters at a time. */
function drip(client: Duplex, clock: Clock | undefined): void {
  if (clock === undefined) throw new Error('what drips needs a clock');
  client.write('HTTP/1.1 200 OK\r\n');
  const next = () => {
    if (client.destroyed) return;
    client.write('x: y\r\n');
    clock.setTimer(DRIP_MS, next);
  };
  clock.setTimer(DRIP_MS, next);
}
