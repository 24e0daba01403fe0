import { readFileSync } from 'node:fs';
import { Cluster, Redis } from 'ioredis';
import { neverGiveUp, type RedisClient } from '../../../src/store/redis/client.ts';

/** How to reach a Redis of any shape; plain data, which vitest can hand over to its workers. */
export interface RedisAccess {
  /** The settings of wxkeeper that say where it is. */
  env: Record<string, string>;
  /** For clients of the test itself, which may do everything. */
  admin: AdminAccess;
}

export type AdminAccess =
  | { url: string; caFile?: string }
  | { sentinels: Address[]; name: string; password: string; sentinelPassword: string }
  | { nodes: Address[] };

export interface Address {
  host: string;
  port: number;
}

/** Milliseconds until a client of a test tries again. */
const retryStrategy = () => 50;

/** A single Redis, by its URL or the path of its socket. */
export function singleAccess(url: string): RedisAccess {
  return { env: { REDIS_URL: url }, admin: { url } };
}

/** A client of the test's own, with the patience of ioredis's defaults. */
export function connectAdmin({ admin }: Pick<RedisAccess, 'admin'>): RedisClient {
  if ('nodes' in admin) return new Cluster(admin.nodes, { slotsRefreshTimeout: 2_000 });
  if ('url' in admin) {
    const { url, caFile } = admin;
    return caFile === undefined
      ? new Redis(url)
      : new Redis(url, { tls: { ca: readFileSync(caFile) } });
  }
  const redis = new Redis({
    ...admin,
    // Without it a client stays with the old master after a planned failover.
    failoverDetector: true,
    sentinelRetryStrategy: retryStrategy,
    retryStrategy,
  });
  neverGiveUp(redis);
  return redis;
}
