import { execFile } from 'node:child_process';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { answers, cpuSeconds } from './cores.ts';
import type { Running } from './launch.ts';

/** What a request is made of: the same for every server of a round. */
export interface Prepared {
  method: 'GET' | 'POST';
  path: string;
  headers: Readonly<Record<string, string>>;
  body: string;
}

/** One load on one server. */
export interface Measured {
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** Seconds of CPU of the server's process for 1,000 requests. */
  cpuPerThousand: number;
  requests: number;
  /** Answers of 400 and above, and requests without an answer. */
  refused: number;
  failed: number;
  /** How often the prepared requests were used up and begun anew. */
  wraps: number;
}

export interface LoadOptions {
  connections: number;
  seconds: number;
  /** It is over when every request was answered, however long that takes. */
  once?: boolean;
}

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('./wrk.lua', import.meta.url));
/** Requests written to the file in one go. */
const CHUNK = 2_000;

export const hasWrk = answers('sh', ['-c', 'command -v wrk']);

/** Requests as the load generator takes them, to be used by several servers. */
export interface Ammunition {
  requests: readonly Prepared[];
  file: string;
  discard(): Promise<void>;
}

export async function pack(requests: readonly Prepared[]): Promise<Ammunition> {
  const home = await mkdtemp(join(tmpdir(), 'wxkeeper-bench-'));
  const file = join(home, 'requests');
  const handle = await open(file, 'w');
  for (let from = 0; from < requests.length; from += CHUNK) {
    const chunk = requests.slice(from, from + CHUNK).map((one) => {
      const bytes = onTheWire(one);
      return `${Buffer.byteLength(bytes)}\n${bytes}\n`;
    });
    await handle.write(chunk.join(''));
  }
  await handle.close();
  return { requests, file, discard: () => rm(home, { recursive: true, force: true }) };
}

function onTheWire({ method, path, headers, body }: Prepared): string {
  const all = {
    host: '127.0.0.1',
    ...headers,
    ...(method === 'POST' && { 'content-length': String(Buffer.byteLength(body)) }),
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

export async function load(
  server: Running,
  ammunition: Ammunition,
  options: LoadOptions,
): Promise<Measured> {
  const before = cpuSeconds(server.pid);
  // wrk knows no number of requests, only seconds.
  const generate = hasWrk && options.once !== true ? wrk : cannon;
  const measured = await generate(server.port, ammunition, options);
  const cpu = cpuSeconds(server.pid) - before;
  return { ...measured, cpuPerThousand: (1000 * cpu) / measured.requests };
}

type Outside = Omit<Measured, 'cpuPerThousand'>;

async function wrk(port: number, { file }: Ammunition, options: LoadOptions): Promise<Outside> {
  const { connections, seconds } = options;
  const words = ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', SCRIPT];
  const { stdout } = await run('wrk', [...words, `http://127.0.0.1:${port}/`, '--', file]);
  const { seconds: took, ...counted } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Omit<
    Outside,
    'perSecond'
  > & { seconds: number };
  return { ...counted, perSecond: counted.requests / took };
}

async function cannon(
  port: number,
  { requests }: Ammunition,
  { connections, seconds, once = false }: LoadOptions,
): Promise<Outside> {
  let next = 0;
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections,
    ...(once ? { amount: requests.length } : { duration: seconds }),
    requests: [
      {
        setupRequest: (request) => {
          const prepared = requests[next % requests.length];
          next += 1;
          return prepared === undefined ? request : { ...request, ...prepared };
        },
      },
    ],
  });
  return {
    perSecond: result.requests.average,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    requests: result.requests.total,
    refused: result.non2xx,
    failed: result.errors,
    wraps: once ? 0 : Math.floor(next / requests.length),
  };
}
