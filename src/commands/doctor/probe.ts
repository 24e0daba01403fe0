import http from 'node:http';
import https from 'node:https';
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { openTunnel, ProxyError } from '../../lib/tunnel.ts';
import type { Proxy } from '../../lib/proxy.ts';
import type { Installation } from './installation.ts';

/** A connection tried out, step by step, so that the step that fails can be named. */

export interface Connected {
  addresses: string[];
  /** The first of them that took a connection. */
  address: string;
  dnsMs: number;
  connectMs: number;
  /** Epoch ms; undefined without TLS. */
  certificateEndsAt: number | undefined;
}

/** `step` failed with `code`, the word of Node or of OpenSSL. */
export class ProbeError extends Error {
  readonly step: 'dns' | 'connect' | 'certificate' | 'http';
  readonly code: string;

  constructor(step: ProbeError['step'], cause: unknown) {
    const { code, name } = cause as { code?: string; name: string };
    super(`${step}: ${code ?? name}`, { cause });
    this.name = 'ProbeError';
    this.step = step;
    this.code = code ?? name;
  }
}

/** Milliseconds for one address, as many as the service gives it, though it does not wait that long to try the next. */
const ONE_ADDRESS_MS = 2_500;

/** @throws ProbeError */
export async function probe(installation: Installation, url: URL): Promise<Connected> {
  const { clock } = installation;
  const host = hostOf(url);
  const began = clock.monotonic();
  const addresses = await resolve(installation, host);
  const dnsMs = Math.round(clock.monotonic() - began);
  const connecting = clock.monotonic();
  const { address = host, certificateEndsAt } = await connect(installation, url, addresses);
  const connectMs = Math.round(clock.monotonic() - connecting);
  return { addresses, address, dnsMs, connectMs, certificateEndsAt };
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

/** An address has no name that TLS could ask for. */
function servernameOf(host: string): { servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

interface Reached {
  address: string | undefined;
  certificateEndsAt: number | undefined;
}

export interface Tunnelled {
  tunnelMs: number;
  /** Undefined without TLS. */
  tlsMs: number | undefined;
}

/**
 * The same through a proxy, which looks up the name.
 * @throws ProbeError, ProxyError
 */
export async function probeThrough(
  installation: Installation,
  proxy: Proxy,
  url: URL,
): Promise<Tunnelled> {
  const { clock, ca, stepMs } = installation;
  const began = clock.monotonic();
  const socket = await tunnelTo(installation, proxy, url);
  const tunnelMs = Math.round(clock.monotonic() - began);
  if (url.protocol !== 'https:') {
    socket.destroy();
    return { tunnelMs, tlsMs: undefined };
  }
  const connecting = clock.monotonic();
  const tls = { socket, ...servernameOf(hostOf(url)), ca, rejectUnauthorized: false };
  await whenReady((onReady) => connectTls(tls, onReady), stepMs).catch((error: unknown) => {
    // The proxy has connected; what breaks behind that is its doing.
    const cut = error instanceof ProbeError && error.step === 'connect';
    throw cut ? new ProxyError('proxy_tls', error.cause) : error;
  });
  return { tunnelMs, tlsMs: Math.round(clock.monotonic() - connecting) };
}

/** @throws ProxyError */
export async function tunnelTo(
  { clock, stepMs }: Installation,
  proxy: Proxy,
  url: URL,
): Promise<Socket> {
  const limit = new AbortController();
  const stop = endAfter(stepMs, () => limit.abort());
  try {
    return await openTunnel(proxy, url, clock, limit.signal);
  } finally {
    stop();
  }
}

/** One address after the other, so that a dead IPv6 way is no failure, as it is none for the service. */
function connect(
  { ca, stepMs }: Installation,
  url: URL,
  addresses: readonly string[],
): Promise<Reached> {
  const host = hostOf(url);
  const isTls = url.protocol === 'https:';
  const found: LookupFunction = (_name, _options, done) => {
    done(
      null,
      addresses.map((address) => ({ address, family: isIP(address) })),
    );
  };
  const target = {
    host,
    port: Number(url.port || (isTls ? 443 : 80)),
    lookup: found,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ONE_ADDRESS_MS,
  };
  return whenReady(
    (onReady) =>
      isTls
        ? // A wrong certificate must not hide when it ends.
          connectTls({ ...target, ...servernameOf(host), ca, rejectUnauthorized: false }, onReady)
        : connectTcp(target, onReady),
    stepMs,
  );
}

/** @throws ProbeError */
function whenReady(begin: (onReady: () => void) => Socket, stepMs: number): Promise<Reached> {
  return new Promise((done, fail) => {
    const socket = begin(onReady);
    const stop = endAfter(stepMs, (error) => socket.destroy(error));
    socket.on('error', (error) => fail(new ProbeError('connect', error)));
    socket.on('close', stop);
    function onReady(): void {
      const problem = certificateProblem(socket);
      // A socket that is destroyed has neither address nor certificate any more.
      const certificateEndsAt = certificateEnd(socket);
      if (problem === undefined) done({ address: socket.remoteAddress, certificateEndsAt });
      else fail(new ProbeError('certificate', { code: problem }));
      socket.destroy();
    }
  });
}

/** @returns what calls it off */
function endAfter(ms: number, end: (error: Error) => void): () => void {
  const timer = setTimeout(() => end(Object.assign(new Error(), { code: 'ETIMEDOUT' })), ms);
  return () => clearTimeout(timer);
}

function certificateProblem(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || socket.authorized) return undefined;
  // An Error or its code, whatever the types say.
  const trouble: unknown = socket.authorizationError;
  if (typeof trouble === 'string') return trouble;
  return (trouble as { code?: string } | null)?.code ?? 'untrusted';
}

function certificateEnd(socket: Socket): number | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  return Date.parse(socket.getPeerCertificate().valid_to);
}

/** @throws ProbeError */
async function resolve({ lookup, stepMs }: Installation, host: string): Promise<string[]> {
  let stop: (() => void) | undefined;
  const tooLong = new Promise<never>((_done, fail) => (stop = endAfter(stepMs, fail)));
  try {
    return await Promise.race([lookup(host), tooLong]);
  } catch (error) {
    throw new ProbeError('dns', error);
  } finally {
    stop?.();
  }
}

export interface Answered {
  status: number;
  /** At most the first 64 KB. */
  body: string;
  /** What the `Date` header says, epoch ms; undefined without a usable one. */
  date: number | undefined;
  tookMs: number;
}

const MAX_BODY_CHARS = 65_536;

/**
 * One request, to an address that `probe` has found, or on a connection to the host.
 * @param json POSTed; without it, GET
 * @throws ProbeError
 */
export function ask(
  { clock, ca, stepMs }: Installation,
  url: URL,
  to: string | Socket,
  json?: Readonly<Record<string, unknown>>,
): Promise<Answered> {
  const began = clock.monotonic();
  const payload = json === undefined ? undefined : JSON.stringify(json);
  const over = (socket: Socket) =>
    url.protocol === 'https:'
      ? connectTls({ socket, ...servernameOf(hostOf(url)), ca, rejectUnauthorized: true })
      : socket;
  return new Promise((done, fail) => {
    const outgoing = (url.protocol === 'https:' ? https : http).request({
      ...(typeof to === 'string'
        ? { host: to, agent: false }
        : { createConnection: () => over(to) }),
      port: url.port,
      path: url.pathname + url.search,
      ca,
      rejectUnauthorized: true,
      ...servernameOf(hostOf(url)),
      method: payload === undefined ? 'GET' : 'POST',
      headers: {
        host: url.host,
        ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    const stop = endAfter(stepMs, (error) => outgoing.destroy(error));
    outgoing.on('close', stop);
    outgoing.on('error', (error) => fail(new ProbeError('http', error)));
    outgoing.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        if (body.length < MAX_BODY_CHARS) body += chunk;
      });
      response.on('error', (error) => fail(new ProbeError('http', error)));
      response.on('end', () => {
        const date = Date.parse(response.headers.date ?? '');
        done({
          status: response.statusCode ?? 0,
          body,
          date: Number.isNaN(date) ? undefined : date,
          tookMs: Math.round(clock.monotonic() - began),
        });
      });
    });
    outgoing.end(payload);
  });
}
