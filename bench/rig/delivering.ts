import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { freePort, type Running } from './launch.ts';
import { prepareTickets } from './prepared-pushes.ts';
import { makeReady } from './ready.ts';
import { send } from './rounds.ts';
import { keeper, startTarget } from './servers.ts';
import type { Stage } from './stage.ts';

/** wxkeeper with delivery routes, and an application behind them. */
export interface DeliveryStage extends Stage {
  target: Running;
  /** Where nobody listens. */
  deadPort: number;
  /** Key for the HTTP API. */
  apiKey: string;
  /** Processes of the service, ready for pushes, that end with the stage. */
  startKeepers(prefix: string, count: number, routes: readonly object[]): Promise<Running[]>;
}

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
/** More than a million deliveries take. */
const MEGABYTES = '8192';
const COUNTED_WITHIN_MS = 300_000;

/** Of a route whose application takes a thousand in a second. */
export const PACE = { concurrency: 20, per_second: 1_000 };

export function route(port: number, path: string, fields: object): object {
  return { target: `http://127.0.0.1:${port}${path}`, mode: 'json', secrets: [SECRET], ...fields };
}

export async function withTarget<T>(
  stage: Stage,
  measure: (stage: DeliveryStage) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'wxkeeper-bench-'));
  const target = await startTarget();
  const { key: apiKey, entry } = makeApiKey('bench', 'admin');
  const startKeepers: DeliveryStage['startKeepers'] = async (prefix, count, routes) => {
    const file = join(folder, `${prefix.replace(':', '')}.json`);
    await writeFile(file, JSON.stringify({ routes }));
    const env = {
      API_KEYS: entry,
      CONFIG_FILE: file,
      DELIVERY_NETWORKS: '127.0.0.0/8',
      DELIVERY_MEGABYTES: MEGABYTES,
    };
    const server = keeper({ wechat: stage.simulator.url, prefix, env });
    const started: Running[] = [];
    for (let number = 0; number < count; number += 1) {
      const contestant = { server, running: await server.start(stage.redisUrl) };
      stage.contestants.push(contestant);
      started.push(contestant.running);
      if (number > 0) continue;
      const now = Math.floor(Date.now() / 1000);
      const [real] = prepareTickets([now], () => stage.simulator.issueTicket());
      if (real !== undefined) await makeReady(stage, contestant, real);
    }
    return started;
  };
  try {
    const deadPort = await freePort();
    return await measure({ ...stage, target, deadPort, apiKey, startKeepers });
  } finally {
    await target.stop();
    await rm(folder, { recursive: true });
  }
}

/** How many different pushes the target has had that is well. */
export async function countAtTarget({ target }: DeliveryStage): Promise<number> {
  const { text } = await send(target.port, {
    method: 'GET',
    path: '/count',
    headers: {},
    body: '',
  });
  return Number(text);
}

/** @returns milliseconds until the target has had so many @throws Error when it never has */
export async function untilCounted(stage: DeliveryStage, count: number): Promise<number> {
  const begun = performance.now();
  while ((await countAtTarget(stage)) < count) {
    if (performance.now() - begun > COUNTED_WITHIN_MS) {
      throw new Error(`of ${count} deliveries ${await countAtTarget(stage)} came`);
    }
    await sleep(100);
  }
  return performance.now() - begun;
}
