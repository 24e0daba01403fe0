import type { Redis } from 'ioredis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { RedisClient } from '../../src/store/redis/client.ts';
import { connectAdmin } from '../kit/redis-shapes/access.ts';
import { ask, asked } from '../kit/redis-shapes/ask.ts';
import { startCluster } from '../kit/redis-shapes/cluster.ts';
import { startSentinel } from '../kit/redis-shapes/sentinel.ts';
import type { RedisShape } from '../kit/redis-shapes/server.ts';
import { startSingle } from '../kit/redis-shapes/shapes.ts';
import { startTls } from '../kit/redis-shapes/tls.ts';
import { itWithValkey } from '../kit/redis-shapes/valkey-stories.ts';
import { findValkey } from '../kit/redis-shapes/valkey.ts';
import { POLLING } from '../kit/waiting.ts';

const open: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** Of a shape that ends with the test, with a client. */
async function started<T extends RedisShape>(starting: Promise<T>) {
  const shape = await starting;
  open.push(() => shape.close());
  const redis = connectAdmin(shape);
  redis.on('error', () => undefined);
  open.push(() => redis.disconnect());
  return { shape, redis };
}

async function writesAndReads(redis: RedisClient, keys = ['key']): Promise<void> {
  for (const key of keys) {
    await vi.waitFor(async () => expect(await redis.set(key, key)).toBe('OK'), POLLING);
    expect(await redis.get(key)).toBe(key);
  }
}

/** Closes the shape and asks the system about each of these processes. */
async function endsAll(shape: RedisShape, redis: RedisClient, pids: number[]): Promise<void> {
  redis.disconnect();
  await shape.close();
  expect(pids.length).toBeGreaterThan(0);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
}

const pidsOf = (servers: RedisShape['servers']) => servers.map((server) => server.pid());

describe('a single Redis', () => {
  it('comes up and ends, though it is paused', async () => {
    const { shape, redis } = await started(startSingle());
    await writesAndReads(redis);
    shape.servers[0]?.pause();
    await endsAll(shape, redis, pidsOf(shape.servers));
  });

  itWithValkey('may be a Valkey', async () => {
    const { shape, redis } = await started(startSingle({ binary: await findValkey() }));
    await writesAndReads(redis);
    expect(await (redis as Redis).info('server')).toContain('server_name:valkey');
    await endsAll(shape, redis, pidsOf(shape.servers));
  });

  it('speaks TLS only to users with the rights of the documentation', async () => {
    const { shape, redis } = await started(startTls());
    await writesAndReads(redis);
    const port = shape.servers[0]?.port ?? 0;
    await expect(ask({ url: `redis://127.0.0.1:${port}` }, 'PING')).rejects.toThrow('closed');
    const { REDIS_URL: url = '', REDIS_TLS_CA_FILE: caFile = '' } = shape.env;
    const user = connectAdmin({ admin: { url, caFile } });
    open.push(() => user.disconnect());
    await expect(user.get('key')).rejects.toThrow('NOPERM');
    await expect(user.flushall()).rejects.toThrow('NOPERM');
    await writesAndReads(user, ['test1:key']);
    await endsAll(shape, redis, pidsOf(shape.servers));
  });
});

describe('a Redis with sentinels', () => {
  it('gets another master when it is asked to', async () => {
    const { shape, redis } = await started(startSentinel());
    const pids = pidsOf([...shape.servers, ...shape.sentinels]);
    expect(pids).toHaveLength(6);
    const master = await shape.master();
    await writesAndReads(redis);
    const other = await shape.failover();
    expect(other).not.toBe(master);
    expect(await ask(other, 'ROLE')).toContain('master');
    await vi.waitFor(async () => {
      await writesAndReads(redis, ['later']);
      expect(await asked(other, (one) => one.get('later'))).toBe('later');
    }, POLLING);
    await endsAll(shape, redis, pids);
  });

  it('gets another master when the network of its master is cut', async () => {
    const { shape, redis } = await started(startSentinel({ proxies: true }));
    const master = await shape.master();
    await writesAndReads(redis);
    master.network?.blackhole();
    await vi.waitFor(async () => {
      const other = await shape.master();
      expect(other).not.toBe(master);
      expect(await ask(other, 'ROLE')).toContain('master');
    }, POLLING);
    // It knows nothing of that: whoever still reached it would lose what he writes.
    expect(await ask(master, 'ROLE')).toContain('master');
    await endsAll(shape, redis, pidsOf([...shape.servers, ...shape.sentinels]));
  });
});

describe('a Redis cluster', () => {
  it('fails over, moves slots and grows', async () => {
    const { shape, redis } = await started(startCluster());
    expect(await shape.masters()).toHaveLength(3);
    const keys = ['a', 'b', 'c', '{a}1', '{a}2'];
    await writesAndReads(redis, keys);
    const shards = await Promise.all(['a', 'b', 'c'].map((key) => shape.masterOf(key)));
    expect(new Set(shards).size).toBe(3);

    const old = await shape.masterOf('a');
    const [replica] = await shape.replicasOf(old);
    expect(await shape.failover(old)).toBe(replica);
    await writesAndReads(redis, keys);

    const node = await shape.addNode();
    const slot = await shape.slotOf('a');
    await shape.moveSlot(slot, node, async () => {
      expect(await ask(node, 'DBSIZE')).toBe(2);
      await writesAndReads(redis, keys);
    });
    await shape.settled();
    expect(await shape.masterOf('a')).toBe(node);
    expect(await asked(node, (one) => one.dbsize())).toBe(3);
    await writesAndReads(redis, keys);
    expect(shape.servers).toHaveLength(7);
    await endsAll(shape, redis, pidsOf(shape.servers));
  });
});
