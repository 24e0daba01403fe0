import { Redis, type Cluster } from 'ioredis';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import { connectAdmin } from '../kit/redis-shapes/access.ts';
import { ask, until } from '../kit/redis-shapes/ask.ts';
import { startCluster, type ClusterShape } from '../kit/redis-shapes/cluster.ts';
import type { ShapeServer } from '../kit/redis-shapes/server.ts';
import { KEY, loadScripts } from './shared-store.ts';

/** The real Redis of all schedules: one server, or a cluster. */
export interface Place {
  redis: Redis | Cluster;
  /** Of the server that has the keys of a schedule. */
  replicationId(): Promise<string>;
  /** From now on they are on a server with another replication id, as after a failover. */
  changeId(): Promise<void>;
  close(): Promise<void>;
}

export const PLACES = { single: placeOnOne, cluster: placeOnCluster } as const;

export async function placeOnOne(): Promise<Place> {
  const server = await startRedisServer({ args: ['--enable-debug-command', 'yes'] });
  const redis = new Redis(server.url);
  await loadScripts(redis);
  return {
    redis,
    replicationId: async () => idIn(await redis.info('replication')),
    async changeId() {
      await redis.call('DEBUG', 'CHANGE-REPL-ID');
    },
    async close() {
      redis.disconnect();
      await server.stop();
    },
  };
}

/** Their slot really moves to another shard, and the client has to find it there. */
export async function placeOnCluster(): Promise<Place> {
  const shape = await startCluster();
  const redis = connectAdmin(shape) as Cluster;
  redis.on('error', () => undefined);
  const close = async () => {
    redis.disconnect();
    await shape.close();
  };
  try {
    const masters = await shape.masters();
    await until('the client knows the cluster', () => Promise.resolve(redis.status === 'ready'));
    for (const node of redis.nodes('master')) await loadScripts(node);
    return { redis, close, ...onShards(shape, masters) };
  } catch (error) {
    await close();
    throw error;
  }
}

function onShards(shape: ClusterShape, masters: readonly ShapeServer[]) {
  const here = () => shape.masterOf(KEY);
  return {
    async replicationId() {
      return idIn(String(await ask(await here(), 'INFO', 'replication')));
    },
    async changeId() {
      const from = await here();
      const to = masters[(masters.indexOf(from) + 1) % masters.length] ?? from;
      await shape.moveSlot(await shape.slotOf(KEY), to);
    },
  };
}

function idIn(info: string): string {
  return /master_replid:(\w+)/.exec(info)?.[1] ?? '';
}
