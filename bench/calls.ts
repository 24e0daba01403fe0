import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { leaveLoadCore, moveToLoadCore, onServerCore } from './rig/cores.ts';
import type { Options } from './rig/options.ts';
import { median, ratio, type Report } from './rig/report.ts';

/**
 * What a call to WeChat costs this machine over TLS: ours, which has a connection of its own so that it is
 * known whether anything was sent, and the built-in `fetch`, with its kept connections and without.
 */
const WAYS = ['wxkeeper', 'fetch', 'fetch, a connection for each'] as const;
const CALLS = 1_000;

const CERTIFICATES = new URL('../test/fixtures/tls/', import.meta.url);
const certificate = fileURLToPath(new URL('localhost-test-cert.pem', CERTIFICATES));
const CALLER = fileURLToPath(new URL('./servers/tls-calls.ts', import.meta.url));
const ANSWER = JSON.stringify({ component_access_token: 'x'.repeat(150), expires_in: 7200 });
const run = promisify(execFile);

export async function measureCalls({ rounds, say }: Options): Promise<Report> {
  moveToLoadCore();
  const key = await readFile(new URL('localhost-test-key.pem', CERTIFICATES));
  const server = createServer({ key, cert: await readFile(certificate) }, (request, response) => {
    request.resume().on('end', () => {
      response.setHeader('Content-Type', 'application/json').end(ANSWER);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
  const measured = new Map<string, number[]>(WAYS.map((way) => [way, []]));
  try {
    for (let round = 0; round < rounds; round += 1) {
      for (const [way, noted] of measured) {
        noted.push(await cpuOf(way, url));
        say(`${way}: ${(noted.at(-1) ?? NaN).toFixed(2)} ms of CPU for each call`);
      }
    }
  } finally {
    server.closeAllConnections();
    server.close();
    leaveLoadCore();
  }
  const of = (way: (typeof WAYS)[number]) => median(measured.get(way) ?? []);
  return {
    bench: 'calls',
    title: { en: 'A call to WeChat over TLS', zh: '经 TLS 调用一次微信' },
    tables: [{ columns: ['CPU ms'], rows: WAYS.map((way) => [way, of(way)]) }],
    lines: [
      ratio({
        what: {
          en: 'CPU of a call over TLS, to the built-in fetch, which keeps its connections',
          zh: '经 TLS 调用一次的 CPU，对比内置 fetch（复用连接）',
        },
        of: of('wxkeeper'),
        to: of('fetch'),
        atMost: 1,
      }),
      ratio({
        what: {
          en: 'the same, to fetch with a connection for each call',
          zh: '同上，对比每次新建连接的 fetch',
        },
        of: of('wxkeeper'),
        to: of('fetch, a connection for each'),
        atMost: 1,
      }),
    ],
    notes: [],
  };
}

async function cpuOf(way: string, url: string): Promise<number> {
  const caller = [process.execPath, ...process.execArgv, CALLER, way, url, String(CALLS)];
  const [command = '', ...words] = onServerCore(caller);
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: certificate };
  const { stdout } = await run(command, words, { env });
  return Number(stdout);
}
