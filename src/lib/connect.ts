import dns from 'node:dns';
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from './clock.ts';
import { createTlsSessions, type TlsSessions } from './tls-sessions.ts';

/**
 * A connection to one host, whichever of its addresses takes it first (RFC 8305). Node's own way of
 * doing that gives an address up after 250 ms, for good: a host whose answer takes longer than that
 * to come back could never be reached. Here the next address is begun beside the one that is slow.
 */

/** Milliseconds for a name to be looked up, and again for each address to connect, TLS included. */
const CONNECT_DEADLINE_MS = 2_500;
/** Milliseconds until the next address is tried beside one that has not answered. Source: RFC 8305. */
const NEXT_ADDRESS_MS = 250;

/** Of each clock its own, so that tests, each with a clock of its own, do not share sessions. */
const sessionsOf = new WeakMap<Clock, TlsSessions>();

/**
 * @param signal gives everything up
 * @throws Error of the address that failed last
 */
export async function connect(url: URL, clock: Clock, signal: AbortSignal): Promise<net.Socket> {
  const host = hostOf(url);
  const addresses = await addressesOf(host, clock, signal);
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const attempts = new Set<() => void>();
    const waiting = addresses.values();
    let cancelNext: () => void = () => undefined;
    let last: unknown;

    const end = () => {
      cancelNext();
      signal.removeEventListener('abort', abort);
      for (const giveUp of attempts) giveUp();
      attempts.clear();
    };
    const abort = () => {
      end();
      reject(new Error('given up'));
    };
    const next = () => {
      cancelNext();
      const address = waiting.next().value;
      if (address === undefined) {
        // Nobody is left who could still take it.
        if (attempts.size === 0) {
          end();
          reject(last instanceof Error ? last : new Error('the name has no address'));
        }
        return;
      }
      const giveUp = attempt(open(url, address, clock), clock, (error, socket) => {
        attempts.delete(giveUp);
        if (socket !== undefined) {
          end();
          resolve(socket);
        } else {
          last = error;
          next();
        }
      });
      attempts.add(giveUp);
      cancelNext = clock.setTimer(NEXT_ADDRESS_MS, next);
    };
    signal.addEventListener('abort', abort, { once: true });
    next();
  });
}

/** As sockets want it: IPv6 without brackets. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

function open(url: URL, address: string, clock: Clock): net.Socket {
  const isTls = url.protocol === 'https:';
  const target = { host: address, port: Number(url.port || (isTls ? 443 : 80)) };
  return isTls ? startTls(url, target, clock) : net.connect(target);
}

/**
 * Begins TLS with the host of an address, on a connection to it.
 * @param transport where the connection leads, or one that is there
 */
export function startTls(
  url: URL,
  transport: { host: string; port: number } | { socket: net.Socket },
  clock: Clock,
): tls.TLSSocket {
  const host = hostOf(url);
  const sessions = sessionsOf.get(clock) ?? createTlsSessions(clock);
  sessionsOf.set(clock, sessions);
  const name = `${host}:${url.port || '443'}`;
  const offer = sessions.offer(name);
  const socket = tls.connect({
    ...transport,
    secureContext: offer.secureContext,
    ...(offer.session === undefined ? {} : { session: offer.session }),
    // An address has no name that TLS could ask for.
    ...(net.isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
    // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED cannot switch verification off.
    rejectUnauthorized: true,
  });
  sessions.watch(name, socket, offer);
  return socket;
}

/**
 * Waits until a connection is ready, TLS included, for 2.5 s at most.
 * @returns what gives it up, without a further word
 */
export function attempt(
  socket: net.Socket,
  clock: Clock,
  done: (error: Error | undefined, socket?: net.Socket) => void,
): () => void {
  const ready = socket instanceof tls.TLSSocket ? 'secureConnect' : 'connect';
  const stop = (error: Error | undefined) => {
    cancel();
    socket.off(ready, onReady);
    socket.off('close', onClose);
    socket.destroy();
    if (error !== undefined) done(error);
  };
  const onReady = () => {
    cancel();
    socket.off('close', onClose);
    done(undefined, socket);
  };
  // Listened to after the end, too: what is torn down may still complain, and must not end the process.
  let failure: Error | undefined;
  const onError = (error: Error) => void (failure ??= error);
  const onClose = () => stop(failure ?? new Error('the connection was closed'));
  const cancel = clock.setTimer(CONNECT_DEADLINE_MS, () =>
    stop(new Error('no connection in time')),
  );
  socket.once(ready, onReady);
  socket.on('error', onError);
  socket.once('close', onClose);
  return () => stop(undefined);
}

/** As the system orders them, but one family after the other: a whole family may lead nowhere. */
async function addressesOf(host: string, clock: Clock, signal: AbortSignal): Promise<string[]> {
  if (net.isIP(host) !== 0) return [host];
  const found = await new Promise<dns.LookupAddress[]>((resolve, reject) => {
    const giveUp = () => {
      cancel();
      signal.removeEventListener('abort', giveUp);
      reject(new Error('the name was not looked up in time'));
    };
    const cancel = clock.setTimer(CONNECT_DEADLINE_MS, giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    dns.lookup(host, { all: true }, (error, addresses) => {
      cancel();
      signal.removeEventListener('abort', giveUp);
      if (error) reject(error);
      else resolve(addresses);
    });
  });
  const [first] = found;
  const same = found.filter(({ family }) => family === first?.family);
  const other = found.filter(({ family }) => family !== first?.family);
  return Array.from({ length: Math.max(same.length, other.length) }, (_, index) => [
    same[index],
    other[index],
  ])
    .flat()
    .flatMap((one) => (one === undefined ? [] : [one.address]));
}
