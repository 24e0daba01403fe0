import http from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from './clock.ts';
import { attempt, connect, startTls } from './connect.ts';
import type { Proxy } from './proxy.ts';

/**
 * A connection to a host through a proxy: CONNECT (RFC 9110, 9.3.6), and in it TLS with the host, whose
 * certificate is verified as without a proxy. Whatever fails here has told the host nothing.
 */

/** Milliseconds from CONNECT to its answer: the proxy looks up the name and connects meanwhile. */
const TUNNEL_DEADLINE_MS = 5_000;

export type ProxyFault =
  /** No connection to the proxy. */
  | 'proxy_unreachable'
  /** It is connected and does not answer. */
  | 'proxy_timeout'
  /** It wants another login: 407. */
  | 'proxy_login'
  /** It does not let through to this host: 4xx. */
  | 'proxy_refused'
  /** It cannot reach the host: 5xx. */
  | 'proxy_failed'
  /** It hung up, or is no HTTP proxy. */
  | 'proxy_garbled'
  /** The tunnel stands, and there is no TLS with the host through it. */
  | 'proxy_tls';

/** Nothing was sent to the host. */
export class ProxyError extends Error {
  override name = 'ProxyError';
  readonly fault: ProxyFault;

  constructor(fault: ProxyFault, cause?: unknown) {
    super(fault, { cause });
    this.fault = fault;
  }
}

/** @throws ProxyError */
export async function connectThrough(
  proxy: Proxy,
  url: URL,
  clock: Clock,
  signal: AbortSignal,
): Promise<Socket> {
  const socket = await openTunnel(proxy, url, clock, signal);
  if (signal.aborted) {
    socket.destroy();
    throw new ProxyError('proxy_timeout');
  }
  if (url.protocol !== 'https:') return socket;
  return new Promise((resolve, reject) => {
    const end = () => signal.removeEventListener('abort', abort);
    const secure = startTls(url, { socket }, clock);
    const giveUp = attempt(secure, clock, (error) => {
      end();
      if (error === undefined) resolve(secure);
      else reject(new ProxyError('proxy_tls', error));
    });
    const abort = () => {
      end();
      giveUp();
      reject(new ProxyError('proxy_tls', new Error('given up')));
    };
    signal.addEventListener('abort', abort, { once: true });
  });
}

/**
 * A connection whose other end is the host of the address, without TLS.
 * @param signal gives everything up
 * @throws ProxyError
 */
export async function openTunnel(
  proxy: Proxy,
  url: URL,
  clock: Clock,
  signal: AbortSignal,
): Promise<Socket> {
  let socket: Socket;
  try {
    socket = await connect(proxy.url, clock, signal);
  } catch (error) {
    throw new ProxyError('proxy_unreachable', error);
  }
  return ask(socket, proxy, url, clock, signal);
}

function ask(
  socket: Socket,
  { authorization }: Proxy,
  url: URL,
  clock: Clock,
  signal: AbortSignal,
): Promise<Socket> {
  const host = `${url.hostname}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`;
  return new Promise((resolve, reject) => {
    let stands = false;
    const fail = (fault: ProxyFault, cause?: unknown) => {
      // What comes behind that is the next one's.
      if (stands) return;
      cancel();
      socket.destroy();
      reject(new ProxyError(fault, cause));
    };
    const outgoing = http.request({
      method: 'CONNECT',
      path: host,
      createConnection: () => socket,
      signal,
      headers: {
        host,
        ...(authorization === undefined ? {} : { 'proxy-authorization': authorization }),
      },
    });
    // Node would add `close`, and some proxies take that at its word.
    outgoing.removeHeader('connection');
    const cancel = clock.setTimer(TUNNEL_DEADLINE_MS, () => fail('proxy_timeout'));
    outgoing.on('connect', ({ statusCode = 0 }, _socket, early: Buffer) => {
      const fault = faultOf(statusCode);
      if (fault !== undefined) fail(fault, new Error(`status ${statusCode}`));
      // A host speaks when it is spoken to: this would be taken for its answer.
      else if (early.length > 0) fail('proxy_garbled', new Error('more than an answer'));
      else {
        stands = true;
        cancel();
        resolve(socket);
      }
    });
    const broken = (error?: Error) =>
      fail(signal.aborted ? 'proxy_timeout' : 'proxy_garbled', error);
    outgoing.on('error', broken);
    outgoing.on('close', () => broken());
    outgoing.end();
  });
}

/** @param status of the answer to CONNECT */
function faultOf(status: number): ProxyFault | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status === 407) return 'proxy_login';
  if (status >= 500) return 'proxy_failed';
  return status >= 400 ? 'proxy_refused' : 'proxy_garbled';
}
