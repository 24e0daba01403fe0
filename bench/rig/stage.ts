import type { Redis } from 'ioredis';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { createSimulator, type Simulator } from '../../src/sandbox/wechat/simulator.ts';
import { connectRedis, whenReady } from '../../src/store/redis/connection.ts';
import { COMPONENT } from './component.ts';
import { leaveLoadCore, moveToLoadCore } from './cores.ts';
import { SILENT } from './silent.ts';
import { installPeers, PEERS, peer, type Server } from './servers.ts';
import type { Contestant } from './rounds.ts';

/** Redis, the pretended WeChat and the servers of one comparison; all of them end with it. */
export interface Stage {
  redis: Redis;
  redisUrl: string;
  simulator: Simulator;
  contestants: Contestant[];
  /** Who was left out, with the reason. */
  leftOut: string[];
}

export interface StageOptions {
  say: (line: string) => void;
  /** Which servers, by name; all without it. */
  only: readonly string[] | undefined;
}

/** @param where `everywhere` when what is measured runs within the bench itself */
export async function onStage<T>(
  run: (stage: Stage) => Promise<T>,
  where: 'on the load core' | 'everywhere' = 'on the load core',
): Promise<T> {
  if (where === 'on the load core') moveToLoadCore();
  const server = await startRedisServer({ appendOnly: true });
  const simulator = createSimulator({ components: [COMPONENT], pushing: false });
  const redis = connectRedis({ url: server.url, protocol: 3 }, SILENT);
  const contestants: Contestant[] = [];
  const stage = { redis, redisUrl: server.url, simulator, contestants, leftOut: [] };
  try {
    await simulator.start();
    await whenReady(redis, 5_000);
    return await run(stage);
  } finally {
    for (const { running } of contestants) await running.stop();
    redis.disconnect();
    await simulator.stop();
    await server.stop();
    leaveLoadCore();
  }
}

/** Starts a server, or notes why it is left out. Ours and the references must start. */
export async function enter(
  stage: Stage,
  server: Server,
  { only, say }: StageOptions,
  probe?: (contestant: Contestant) => Promise<void>,
): Promise<void> {
  if (only !== undefined && !only.includes(server.name)) return;
  const isPeer = PEERS.some((name) => name === server.name);
  try {
    const contestant = { server, running: await server.start(stage.redisUrl) };
    try {
      await probe?.(contestant);
    } catch (error) {
      await contestant.running.stop();
      throw error;
    }
    stage.contestants.push(contestant);
    say(`${server.name} accepts after ${Math.round(contestant.running.startedInMs)} ms`);
  } catch (error) {
    if (!isPeer) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    stage.leftOut.push(`${server.name} was left out: ${reason}`);
  }
}

/** All the peers that can be had. */
export async function enterPeers(
  stage: Stage,
  options: StageOptions,
  probe?: (contestant: Contestant) => Promise<void>,
): Promise<void> {
  const wanted = PEERS.filter((name) => options.only?.includes(name) ?? true);
  if (wanted.length === 0) return;
  const problem = await installPeers(options.say);
  if (problem !== undefined) {
    stage.leftOut.push(`all peers were left out: npm ci --prefix bench/peers failed: ${problem}`);
    return;
  }
  for (const name of wanted) await enter(stage, peer(name), options, probe);
}
