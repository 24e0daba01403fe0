import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { appendEvent } from '../../src/store/tickets/event-stream.ts';
import { createKeys } from '../../src/store/redis/keys.ts';
import { connectRedis, onRedis, whenReady } from '../../src/store/redis/connection.ts';
import { createTokenEncryption } from '../../src/store/redis/token-encryption.ts';
import { createStoreTime } from '../../src/store/redis/time.ts';
import { SILENT } from '../../src/commands/doctor/installation.ts';
import { createManualClock } from '../kit/clock.ts';
import { createTcpProxy, type TcpProxy } from '../kit/tcp-proxy.ts';
import { POLLING } from '../kit/waiting.ts';

/** Whose caller has given it up, that is executed once at the most, and never sent again. */

const COMMANDS = 100;

let server: RedisServer;
let proxy: TcpProxy;
let admin: Redis;
let redis: Redis;
beforeEach(async () => {
  server = await startRedisServer({ listen: 'port' });
  proxy = await createTcpProxy({ port: server.port ?? 0 });
  admin = new Redis(server.url);
  redis = connectRedis({ url: proxy.url('redis'), protocol: 3 }, SILENT);
  expect(await whenReady(redis, POLLING.timeout)).toBe(true);
});
afterEach(async () => {
  redis.disconnect();
  admin.disconnect();
  await proxy.close();
  await server.stop();
});

/** How often Redis has executed it since the start of the test. */
async function executed(command: string): Promise<number> {
  const stats = await admin.info('commandstats');
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

async function becomesReady(): Promise<void> {
  // What would be sent again is sent before this.
  await vi.waitFor(async () => expect(await redis.get('another')).toBeNull(), POLLING);
}

describe('row 138: a command that timed out', () => {
  it('is not sent again when a Redis that stood still is back on another connection', async () => {
    process.kill(server.pid(), 'SIGSTOP');
    try {
      const given = Array.from({ length: COMMANDS }, () => redis.incr('count'));
      const outcomes = await Promise.allSettled(given);
      expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
      // The silent connection is replaced.
      await vi.waitFor(() => expect(proxy.counters().connections).toBeGreaterThan(1), POLLING);
    } finally {
      process.kill(server.pid(), 'SIGCONT');
    }
    await becomesReady();
    // What lay in the socket of the old connection is executed, once.
    expect(await executed('incr')).toBeLessThanOrEqual(COMMANDS);
    expect(Number(await admin.get('count'))).toBeLessThanOrEqual(COMMANDS);
  });

  it('is not sent again when the network had swallowed it', async () => {
    proxy.blackhole();
    const given = Array.from({ length: COMMANDS }, () => redis.incr('count'));
    for (const outcome of await Promise.allSettled(given)) {
      expect(outcome).toMatchObject({ status: 'rejected' });
    }
    await proxy.heal();
    await becomesReady();
    expect(await executed('incr')).toBe(0);
    expect(await admin.get('count')).toBeNull();
  });

  it('is executed once when CLIENT PAUSE had held it up and the connection broke', async () => {
    await admin.client('PAUSE', 60_000, 'WRITE');
    const given = Array.from({ length: COMMANDS }, () => redis.incr('count'));
    for (const outcome of await Promise.allSettled(given)) {
      expect(outcome).toMatchObject({ status: 'rejected' });
    }
    proxy.reset();
    await becomesReady();
    await admin.client('UNPAUSE');
    await becomesReady();
    expect(Number(await admin.get('count'))).toBeLessThanOrEqual(COMMANDS);
  });
});

describe('row 138: a command whose connection broke', () => {
  it('fails at once, and not after a second', async () => {
    const begun = performance.now();
    proxy.dropNextReply();
    await expect(redis.incr('count')).rejects.toThrow();
    // The limit of a command is 1,000 ms.
    expect(performance.now() - begun).toBeLessThan(900);
    await becomesReady();
    expect(await admin.get('count')).toBe('1');
  });

  it('is asked for again by whoever still waits, and counts once', async () => {
    const keys = createKeys(`test${randomBytes(6).toString('hex')}:`);
    const time = createStoreTime(createManualClock());
    const store = { redis, keys, time, encryption: createTokenEncryption([]) };
    const append = (name: string, id: string) =>
      appendEvent(store, 'C', { identities: [{ name, forMs: 60_000 }], event: { id } });
    // Known by its hash, so that one command is one answer.
    expect(await append('first', '1')).toBe('stored');
    proxy.dropNextReply();
    expect(await append('second', '2')).toBe('duplicate');
    expect(await admin.xlen(keys.events('C'))).toBe(2);
    expect(await executed('evalsha')).toBe(3);
  });

  it('is not asked for again while there is no connection at all', async () => {
    proxy.refuse();
    proxy.cut();
    await vi.waitFor(() => expect(redis.status).not.toBe('ready'), POLLING);
    let asked = 0;
    const work = () => {
      asked += 1;
      return redis.incr('count');
    };
    await expect(onRedis(work)).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(asked).toBe(1);
    await proxy.heal();
    await becomesReady();
    expect(await admin.get('count')).toBeNull();
  });
});

describe('row 138: a replica that was the master', () => {
  it('refuses once; the client reconnects and sends nothing again', async () => {
    await admin.replicaof('127.0.0.1', '1');
    await expect(redis.incr('count')).rejects.toThrow('READONLY');
    await vi.waitFor(() => expect(proxy.counters().connections).toBe(2), POLLING);
    await admin.replicaof('NO', 'ONE');
    await becomesReady();
    expect(await admin.get('count')).toBeNull();
  });

  it('the reader that blocks goes on reading on the next connection', async () => {
    const reader = connectRedis({ url: proxy.url('redis'), protocol: 3 }, SILENT, 'blocking');
    expect(await whenReady(reader, POLLING.timeout)).toBe(true);
    const read = reader.xread('BLOCK', 0, 'STREAMS', 'stream', '$');
    await vi.waitFor(
      async () => expect(await admin.client('LIST')).toContain('cmd=xread'),
      POLLING,
    );
    proxy.cut();
    await vi.waitFor(() => expect(proxy.counters().connections).toBeGreaterThan(2), POLLING);
    await vi.waitFor(
      async () => expect(await admin.client('LIST')).toContain('cmd=xread'),
      POLLING,
    );
    await admin.xadd('stream', '*', 'a', 'b');
    expect(JSON.stringify(await read)).toContain('"b"');
    reader.disconnect();
  });
});
