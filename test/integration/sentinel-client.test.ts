import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest';
import { loadRedis } from '../../src/config/load.ts';
import type { RedisClient } from '../../src/store/redis/client.ts';
import { connectRedis } from '../../src/store/redis/connection.ts';
import { collectLog, type LogLine } from '../kit/logs.ts';
import { startSentinel, type SentinelShape } from '../kit/redis-shapes/sentinel.ts';
import { POLLING } from '../kit/waiting.ts';

const UNKNOWN = 'Redis cannot be used: the Sentinels know no master of that name';

let shape: SentinelShape;
let redis: RedisClient;
let lines: LogLine[];
beforeAll(async () => {
  shape = await startSentinel();
});
afterEach(() => redis.disconnect());
afterAll(() => shape.close());

function connect(more: Record<string, string> = {}): void {
  const { log, lines: collected } = collectLog();
  lines = collected;
  redis = connectRedis(loadRedis({ ...shape.env, ...more }), log);
}

const times = (message: string) => lines.filter((line) => line.message === message).length;

it('says that the Sentinels know no master of that name, when they do not', async () => {
  connect({ REDIS_SENTINEL_MASTER: 'another' });
  await vi.waitFor(() => expect(times(UNKNOWN)).toBe(1), POLLING);
});

it('does not say so when a master dies, and the next one is found', async () => {
  connect();
  await vi.waitFor(() => expect(times('Redis connected')).toBe(1), POLLING);
  await (await shape.master()).kill();
  await vi.waitFor(() => expect(times('Redis connected')).toBe(2), POLLING);
  expect(times(UNKNOWN)).toBe(0);
  expect(times('Redis connection failed, reconnecting')).toBeGreaterThan(0);
});

it('connects again when it hears of a failover while it asks for the master', async () => {
  connect();
  const client = redis as Redis;
  const { connector } = redis as unknown as { connector: { disconnect(): void } };
  await vi.waitFor(() => expect(times('Redis connected')).toBe(1), POLLING);
  // What the detector of failovers of ioredis does.
  client.once('connecting', () => connector.disconnect());
  const ended = new Promise((resolve) => client.once('end', resolve));
  client.disconnect(true);
  await ended;
  await vi.waitFor(() => expect(times('Redis connected')).toBe(2), POLLING);
  expect(await client.ping()).toBe('PONG');
});

it('does not when it was told to end', async () => {
  connect();
  await vi.waitFor(() => expect(times('Redis connected')).toBe(1), POLLING);
  const ended = once(redis, 'end');
  redis.disconnect();
  await ended;
  await new Promise(setImmediate);
  expect(redis.status).toBe('end');
});

it('nor when that happens while its handshake is refused', async () => {
  connect({ REDIS_PASSWORD: 'not-the-password' });
  await new Promise((resolve) => redis.once('connect', resolve));
  const ended = new Promise((resolve) => redis.once('end', resolve));
  redis.disconnect();
  await ended;
  await new Promise(setImmediate);
  expect(redis.status).toBe('end');
});
