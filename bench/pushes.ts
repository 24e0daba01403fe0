import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import autocannon from 'autocannon';
import type { RedisServer } from '../src/commands/redis-server.ts';
import { createSimulator, type Simulator } from '../src/simulator/simulator.ts';

/**
 * Pushes per second and their latency through the service as it runs in production (its own
 * process, real Redis), beside a bare Express server that does nothing, in the same run. Figures of
 * one machine mean little; their ratio travels.
 */

const COMPONENT = {
  appid: 'wx0123456789abcdef',
  secret: '0f1e2d3c4b5a69788796a5b4c3d2e1f0',
  token: 'benchToken',
  encodingAesKey: 'abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG',
};
const SECONDS = 8;
const CONNECTIONS = 20;
/** Enough different pushes that hardly any is a duplicate. */
const DISTINCT = 40_000;

export interface Measurement {
  name: string;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  notOk: number;
}

export async function measurePushes(redis: RedisServer): Promise<Measurement[]> {
  const simulator = createSimulator({ components: [COMPONENT], pushing: false });
  await simulator.start();
  const bare = fork(new URL('./bare-express.ts', import.meta.url), {
    execArgv: ['--import', 'tsx'],
  });
  const [{ port: barePort }] = (await once(bare, 'message')) as [{ port: number }];
  const service = await startService(simulator, redis);
  try {
    const requests = buildRequests(simulator);
    // One short run first, so that neither is measured cold.
    await fire('warm-up', barePort, requests, 1);
    await fire('warm-up', service.port, requests.slice(DISTINCT / 2), 1);
    return [
      await fire('bare Express', barePort, requests, SECONDS),
      await fire('wxkeeper, new events', service.port, requests, SECONDS),
      await fire('wxkeeper, one repeated event', service.port, requests.slice(0, 1), SECONDS),
    ];
  } finally {
    bare.disconnect();
    const ended = once(service.process, 'exit');
    if (service.process.exitCode === null && service.process.kill('SIGTERM')) await ended;
    await simulator.stop();
  }
}

interface PushRequest {
  path: string;
  body: string;
}

function buildRequests(simulator: Simulator): PushRequest[] {
  const path = `/callback/${COMPONENT.appid}`;
  return Array.from({ length: DISTINCT }, (_, index) => {
    const fields = { AuthorizerAppid: `wx${String(index).padStart(16, '0')}` };
    const { query, body } = simulator.buildPush(undefined, 'unauthorized', fields);
    return { path: `${path}?${new URLSearchParams(query).toString()}`, body };
  });
}

async function fire(
  name: string,
  port: number,
  requests: readonly PushRequest[],
  seconds: number,
): Promise<Measurement> {
  let next = 0;
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: CONNECTIONS,
    duration: seconds,
    requests: [
      {
        method: 'POST',
        headers: { 'content-type': 'text/xml' },
        setupRequest: (request) => {
          const push = requests[next % requests.length];
          next += 1;
          return push === undefined ? request : { ...request, ...push };
        },
      },
    ],
  });
  return {
    name,
    perSecond: result.requests.average,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    notOk: result.non2xx + result.errors,
  };
}

async function startService(
  simulator: Simulator,
  redis: RedisServer,
): Promise<{ process: ChildProcess; port: number }> {
  const port = await freePort();
  const child = spawn(process.execPath, ['dist/main.js'], {
    env: {
      PATH: process.env.PATH,
      REDIS_URL: redis.url,
      REDIS_KEY_PREFIX: 'bench:',
      PUBLIC_HOST: '127.0.0.1',
      PUBLIC_PORT: String(port),
      INTERNAL_PORT: '0',
      WECHAT_API_BASE_URLS: simulator.url,
      COMPONENT_APPID: COMPONENT.appid,
      COMPONENT_APPSECRET: COMPONENT.secret,
      COMPONENT_TOKEN: COMPONENT.token,
      COMPONENT_ENCODING_AES_KEY: COMPONENT.encodingAesKey,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  // Read to the end: an unread pipe would fill up and hold the service.
  await new Promise<void>((resolve, reject) => {
    let log = '';
    child.stdout.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-10_000);
      if (log.includes('wxkeeper started')) resolve();
    });
    child.once('exit', (code) =>
      reject(new Error(`the service ended with ${String(code)}: ${log}`)),
    );
  });
  return { process: child, port };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
