import http from 'node:http';
import https from 'node:https';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import type { Patient } from './patient.ts';

/** A connection tried out, step by step, so that the step that fails can be named. */

export interface Connected {
  addresses: string[];
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

const TIMEOUT_MS = 5_000;

/** @throws ProbeError */
export async function probe(patient: Patient, url: URL): Promise<Connected> {
  const { clock, ca } = patient;
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const began = clock.monotonic();
  const addresses = await resolve(patient, host);
  const dnsMs = Math.round(clock.monotonic() - began);
  const isTls = url.protocol === 'https:';
  const target = { host: addresses[0] ?? host, port: Number(url.port || (isTls ? 443 : 80)) };
  const connecting = clock.monotonic();
  const certificateEndsAt = await new Promise<number | undefined>((done, fail) => {
    const socket = isTls
      ? // A wrong certificate must not hide when it ends.
        connectTls({ ...target, servername: host, ca, rejectUnauthorized: false }, onReady)
      : connectTcp(target, onReady);
    socket.setTimeout(TIMEOUT_MS, () => {
      socket.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' }));
    });
    socket.on('error', (error) => fail(new ProbeError('connect', error)));
    function onReady(): void {
      const problem = certificateProblem(socket);
      // A socket that is destroyed has no certificate any more.
      if (problem === undefined) done(certificateEnd(socket));
      else fail(new ProbeError('certificate', { code: problem }));
      socket.destroy();
    }
  });
  const connectMs = Math.round(clock.monotonic() - connecting);
  return { addresses, dnsMs, connectMs, certificateEndsAt };
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
async function resolve({ lookup }: Patient, host: string): Promise<string[]> {
  try {
    return await lookup(host);
  } catch (error) {
    throw new ProbeError('dns', error);
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
 * One request, to an address that `probe` has found.
 * @param json POSTed; without it, GET
 * @throws ProbeError
 */
export function ask(
  { clock, ca }: Patient,
  url: URL,
  address: string,
  json?: Readonly<Record<string, unknown>>,
): Promise<Answered> {
  const began = clock.monotonic();
  const payload = json === undefined ? undefined : JSON.stringify(json);
  const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return new Promise((done, fail) => {
    const outgoing = (url.protocol === 'https:' ? https : http).request({
      ...{ host: address, port: url.port, path: url.pathname + url.search, servername: hostname },
      ...{ agent: false, ca, rejectUnauthorized: true, timeout: TIMEOUT_MS },
      method: payload === undefined ? 'GET' : 'POST',
      headers: {
        host: url.host,
        ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      },
    });
    outgoing.on('timeout', () => {
      outgoing.destroy(Object.assign(new Error(), { code: 'ETIMEDOUT' }));
    });
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
          ...{ status: response.statusCode ?? 0, body },
          date: Number.isNaN(date) ? undefined : date,
          tookMs: Math.round(clock.monotonic() - began),
        });
      });
    });
    outgoing.end(payload);
  });
}
