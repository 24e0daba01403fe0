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
  | {
      sentinels: Address[];
      name: string;
      password: string;
      sentinelPassword: string;
      caFile?: string;
    }
  | { nodes: Address[]; caFile?: string };

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
  const { caFile } = admin;
  const tls = caFile === undefined ? undefined : { ca: readFileSync(caFile) };
  if ('nodes' in admin) {
    return new Cluster(admin.nodes, {
      slotsRefreshTimeout: 2_000,
      ...(tls && { redisOptions: { tls } }),
    });
  }
  if ('url' in admin)
    return tls === undefined ? new Redis(admin.url) : new Redis(admin.url, { tls });
  const redis = new Redis({
    ...admin,
    ...(tls && { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
    // Without it a client stays with the old master after a planned failover.
    failoverDetector: true,
    sentinelRetryStrategy: retryStrategy,
    retryStrategy,
  });
  neverGiveUp(redis);
  return redis;
}
