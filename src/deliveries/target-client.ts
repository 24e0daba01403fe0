import dns from 'node:dns';
import { isIP } from 'node:net';
import type { buildConnector } from 'undici';
import { mayCall } from '../lib/addresses.ts';
import type { TargetRequest } from './request.ts';

/**
 * Calls addresses that a person has named, and nothing behind them: the address that is connected to is the
 * one that was checked, redirects are not followed, certificates are verified, answers are bounded.
 */
export interface TargetClient {
  /** What it needs; whoever sends before it is there waits. */
  load(): Promise<void>;
  /** @throws TargetError, and whatever is a fault of ours */
  send(request: TargetRequest, signal: AbortSignal): Promise<TargetAnswer>;
  close(): Promise<void>;
}

export interface TargetAnswer {
  status: number;
  retryAfter: string | undefined;
  /** Cut off at `MAX_ANSWER_BYTES`. */
  body: Buffer;
  cutOff: boolean;
}

export type TargetFault = 'timeout' | 'forbidden_address' | 'unreachable' | 'tls' | 'broken_off';

export class TargetError extends Error {
  override name = 'TargetError';
  readonly fault: TargetFault;

  constructor(fault: TargetFault, cause: unknown) {
    super(fault, { cause });
    this.fault = fault;
  }
}

export const MAX_ANSWER_BYTES = 65_536;
const CONNECT_TIMEOUT_MS = 3_000;
/** Milliseconds, beside the caller's deadline: nothing stays for ever, whatever clock he has. */
const SILENCE_MS = 20_000;

class ForbiddenAddressError extends Error {
  readonly code = 'FORBIDDEN_ADDRESS';
}

/** @param networks besides public addresses, in CIDR notation */
export function createTargetClient(networks: readonly string[]): TargetClient {
  // Pushes do not wait for it, and most installations do without.
  const load = async () => {
    const { Agent, buildConnector, request } = await import('../lib/undici.ts');
    const connect = guardedConnector(networks, buildConnector);
    const waits = { headersTimeout: SILENCE_MS, bodyTimeout: SILENCE_MS };
    return { request, agent: new Agent({ ...waits, connect }) };
  };
  let loaded: ReturnType<typeof load> | undefined;
  return {
    async load() {
      await (loaded ??= load());
    },
    async send({ url, headers, body }, signal) {
      let answered = false;
      try {
        const { request, agent } = await (loaded ??= load());
        const options = { method: 'POST', headers, body, signal, dispatcher: agent } as const;
        const answer = await request(url, options);
        answered = true;
        const { 'retry-after': retryAfter } = answer.headers;
        return {
          status: answer.statusCode,
          retryAfter: typeof retryAfter === 'string' ? retryAfter : undefined,
          ...(await readBody(answer.body)),
        };
      } catch (error) {
        const fault = faultOf(error, signal, answered);
        throw fault === undefined ? error : new TargetError(fault, error);
      }
    },
    close: async () => (await loaded)?.agent.destroy(),
  };
}

async function readBody(body: AsyncIterable<Buffer> & { destroy(): void }) {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) break;
  }
  const cutOff = size > MAX_ANSWER_BYTES;
  return { body: Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES), cutOff };
}

const lookUps = new Map<string, Promise<dns.LookupAddress[]>>();

/** Once at a time for each name: a name server that hangs would hold up every look-up of the process. */
function lookUp(host: string): Promise<dns.LookupAddress[]> {
  const known = lookUps.get(host);
  if (known !== undefined) return known;
  const found = dns.promises.lookup(host, { all: true }).finally(() => lookUps.delete(host));
  lookUps.set(host, found);
  return found;
}

function guardedConnector(
  networks: readonly string[],
  build: typeof buildConnector,
): buildConnector.connector {
  const forbidden = () => new ForbiddenAddressError('neither public nor in DELIVERY_NETWORKS');
  const connect = build({
    timeout: CONNECT_TIMEOUT_MS,
    rejectUnauthorized: true,
    lookup(host, options, done) {
      lookUp(host).then(
        (found) => {
          const [first] = found;
          // One bad address spoils the name: whoever owns it could choose when which one is taken.
          const isBad = !found.every(({ address }) => mayCall(address, networks));
          if (first === undefined || isBad) done(forbidden(), '', 4);
          else if (options.all === true) done(null, found);
          else done(null, first.address, first.family);
        },
        (error: unknown) => done(error as NodeJS.ErrnoException, '', 4),
      );
    },
  });
  return (options, callback) => {
    const host = options.hostname.replace(/^\[(.*)\]$/, '$1');
    // Nobody looks up what is an address already.
    if (isIP(host) !== 0 && !mayCall(host, networks)) callback(forbidden(), null);
    else connect(options, callback);
  };
}

function faultOf(error: unknown, signal: AbortSignal, answered: boolean): TargetFault | undefined {
  if (signal.aborted) return 'timeout';
  const { code } = error as { code?: unknown };
  // What has none is a fault of ours, and nothing of the network's.
  if (typeof code !== 'string') return undefined;
  if (code === 'FORBIDDEN_ADDRESS') return 'forbidden_address';
  if (/TIMEOUT|ETIMEDOUT/.test(code)) return 'timeout';
  if (/CERT|SSL|TLS|SIGNATURE|UNABLE_TO/.test(code)) return 'tls';
  return answered ? 'broken_off' : 'unreachable';
}
