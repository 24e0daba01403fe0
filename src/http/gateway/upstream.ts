import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Writable, type Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { proxyFor, type Proxies } from '../../lib/proxy.ts';

/**
 * One call passed on to WeChat and its answer passed back, both as streams: what is sent and fetched may be
 * a video, and is never held in memory. Only what is as short as an error is looked into before it leaves.
 */

/** Bytes of an answer that may be one of WeChat's errors. */
const MOST_LOOKED_AT = 1_024;
/** Bytes of a body that is kept, so that the call can be repeated. */
export const MOST_REPEATED = 65_536;

const WAITS = {
  connections: 200,
  pipelining: 1,
  keepAliveTimeout: 20_000,
  headersTimeout: 20_000,
  bodyTimeout: 30_000,
  connect: { timeout: 3_000 },
} as const;

/** Those of one connection, and what is not WeChat's to know. Source: RFC 9110, 7.6.1. */
const NOT_PASSED_ON: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade', 'host', 'authorization', 'expect', 'cookie'],
  ...['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip', 'forwarded'],
]);
/** Of an answer. */
const NOT_PASSED_BACK: ReadonlySet<string> = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'trailer', 'transfer-encoding', 'upgrade'],
]);

export interface Upstreams {
  /** @throws UpstreamError */
  send(call: UpstreamCall, response: ServerResponse, signal: AbortSignal): Promise<Passed>;
  close(): Promise<void>;
}

export interface UpstreamCall {
  method: string;
  /** With its query. */
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer | SentOnce | null;
}

/**
 * A body that is too long to be kept. Nothing of it is read before there is a connection, and nobody ends
 * it when there is none: another host can still have it.
 */
export class SentOnce implements AsyncIterable<Buffer> {
  isRead = false;
  readonly #body: Readable;

  constructor(body: Readable) {
    this.#body = body;
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    this.isRead = true;
    return (this.#body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }
}

/** What came back: passed on already, or held back because it is short. */
export type Passed =
  { status: number; held?: undefined } | { status: number; held: Buffer; head: PassedHead };

export type PassedHead = Record<string, string | string[]>;

/** `unreached`: WeChat has surely seen nothing of it. */
export class UpstreamError extends Error {
  override name = 'UpstreamError';
  readonly fault: 'unreached' | 'timeout' | 'broken_off' | 'gone';

  constructor(fault: UpstreamError['fault'], cause: unknown) {
    super(fault, { cause });
    this.fault = fault;
  }
}

/** @param origins in order of preference */
export function createUpstreams(origins: readonly string[], proxies?: Proxies): Upstreams {
  // Most installations do without, and nothing of it is needed before somebody calls.
  const load = async () => {
    const { Pool, ProxyAgent } = await import('../../lib/undici.ts');
    return origins.map((origin): Upstream => {
      const proxy = proxies && proxyFor(proxies, new URL(origin));
      if (proxy === undefined) return { origin, dispatcher: new Pool(origin, WAITS) };
      const login = proxy.authorization === undefined ? {} : { token: proxy.authorization };
      return { origin, dispatcher: new ProxyAgent({ uri: proxy.url.href, ...login, ...WAITS }) };
    });
  };
  let loaded: ReturnType<typeof load> | undefined;
  return {
    async send(call, response, signal) {
      const upstreams = await (loaded ??= load());
      let failed: UpstreamError | undefined;
      for (const upstream of upstreams) {
        try {
          return await sendTo(upstream, call, response, signal);
        } catch (error) {
          failed = asUpstreamError(error, signal);
          const isRead = call.body instanceof SentOnce && call.body.isRead;
          if (failed.fault !== 'unreached' || isRead) throw failed;
        }
      }
      throw failed ?? new Error('no WeChat host is configured');
    },
    async close() {
      await Promise.all(((await loaded) ?? []).map(({ dispatcher }) => dispatcher.destroy()));
    },
  };
}

interface Upstream {
  origin: string;
  dispatcher: Dispatcher;
}

async function sendTo(
  { origin, dispatcher }: Upstream,
  { method, path, headers, body }: UpstreamCall,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<Passed> {
  let sink: AnswerSink | undefined;
  let status = 0;
  const options = {
    origin,
    method,
    path,
    headers: endToEnd(headers, NOT_PASSED_ON),
    // undici takes any iterable of bytes; its types know streams alone.
    body: body as Buffer | Readable | null,
    signal,
  };
  await dispatcher.stream(options, ({ statusCode, headers: got }) => {
    status = statusCode;
    sink = new AnswerSink(response, statusCode, endToEnd(got, NOT_PASSED_BACK));
    return sink;
  });
  const held = sink?.held;
  return held === undefined || sink === undefined ? { status } : { status, held, head: sink.head };
}

function endToEnd(
  headers: IncomingHttpHeaders,
  without: ReadonlySet<string>,
): Record<string, string | string[]> {
  const own = (headers.connection ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || without.has(name) || own.includes(name)) continue;
    kept[name] = value;
  }
  return kept;
}

/** An answer on its way to the client, or in hand while it may still be one of WeChat's short errors. */
class AnswerSink extends Writable {
  readonly head: PassedHead;
  readonly #response: ServerResponse;
  readonly #status: number;
  #chunks: Buffer[] | undefined;
  #size = 0;

  constructor(response: ServerResponse, status: number, head: PassedHead) {
    super();
    this.#response = response;
    this.#status = status;
    this.head = head;
    const type = String(head['content-type'] ?? '');
    const length = Number(head['content-length'] ?? 0);
    const mayBeError = /json|text\/plain/i.test(type) && length <= MOST_LOOKED_AT;
    if (mayBeError) this.#chunks = [];
    else response.writeHead(status, head);
  }

  /** All of the answer, when it is that short. */
  get held(): Buffer | undefined {
    return this.#chunks && Buffer.concat(this.#chunks);
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    if (this.#chunks === undefined) {
      this.#pass(chunk, done);
      return;
    }
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size <= MOST_LOOKED_AT) {
      done();
      return;
    }
    const all = Buffer.concat(this.#chunks);
    this.#chunks = undefined;
    this.#response.writeHead(this.#status, this.head);
    this.#pass(all, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#chunks === undefined) this.#response.end(done);
    else done();
  }

  /** A client that does not read holds WeChat up, and not our memory. */
  #pass(chunk: Buffer, done: (error?: Error | null) => void): void {
    if (this.#response.write(chunk)) done();
    else this.#response.once('drain', done);
  }
}

/** Whether a request has a body, as a stream would tell only by being read. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** Before anything was sent; the one that is aborted, and not by us, is a tunnel that a proxy refuses. */
const UNREACHED =
  /^(UND_ERR_ABORTED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$|CERT|^ERR_TLS|UNABLE_TO/;

function asUpstreamError(error: unknown, signal: AbortSignal): UpstreamError {
  if (signal.aborted) return new UpstreamError('gone', error);
  // That of an aborted call is a number.
  const given = (error as { code?: unknown }).code;
  const code = typeof given === 'string' ? given : '';
  if (UNREACHED.test(code)) return new UpstreamError('unreached', error);
  if (/TIMEOUT/.test(code)) return new UpstreamError('timeout', error);
  if (/^(UND_ERR|E[A-Z]+|HPE_)/.test(code)) return new UpstreamError('broken_off', error);
  throw error;
}
