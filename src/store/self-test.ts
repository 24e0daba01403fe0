import type { Log } from '../log.ts';
import { onRedis } from './redis.ts';
import type { Store } from './store.ts';

/**
 * Tries out, on keys of its own, whether Redis lets us do all we need and keeps what it is given: found
 * out by a person at start, and not by the first refresh at night.
 */
export interface SelfTest {
  /** Commands that Redis refuses to our user. */
  forbidden: string[];
  /** Redis may throw records away when its memory is full. */
  evicts: boolean;
}

/** @throws KeeperError `store_unavailable` */
export async function testStore({ redis, keys }: Store): Promise<SelfTest> {
  const [hash, other, text, list, stream, set] = [
    ...['hash', 'other', 'text', 'list', 'stream', 'set'].map((name) => keys.selfTest(name)),
  ] as [string, string, string, string, string, string];
  const commands: [string, ...(string | number)[]][] = [
    ['PING'],
    ['TIME'],
    ['INFO', 'replication'],
    ['HSET', hash, 'a', 1],
    ['HGET', hash, 'a'],
    ['HMGET', hash, 'a', 'b'],
    ['HGETALL', hash],
    ['HINCRBY', hash, 'a', 1],
    ['HDEL', hash, 'b'],
    ['RENAME', hash, other],
    ['SET', text, 1, 'PX', 1_000],
    ['GET', text],
    ['EXISTS', text],
    ['LPUSH', list, 1],
    ['LTRIM', list, 0, 0],
    ['LRANGE', list, 0, -1],
    ['XADD', stream, '*', 'a', 1],
    ['ZADD', set, 1, 'a'],
    ['ZRANGEBYSCORE', set, '-inf', 1, 'LIMIT', 0, 1],
    ['ZREM', set, 'a'],
    ['PUBLISH', keys.selfTest('channel'), '{}'],
    ['EVAL', 'return 1', 0],
    ['EVALSHA', '0'.repeat(40), 0],
    ['DEL', hash, other, text, list, stream, set],
  ];
  const forbidden: string[] = [];
  for (const [name, ...args] of commands) {
    await onRedis(() =>
      redis.call(name, ...args).catch((error: unknown) => {
        const message = error instanceof Error ? error.message : '';
        if (message.startsWith('NOPERM')) forbidden.push(name);
        // Full memory or disk is told where it hurts; an unknown script is what was asked for.
        else if (!/^(?:NOSCRIPT|OOM|MISCONF|ERR no such key)/.test(message)) throw error;
      }),
    );
  }
  const info = forbidden.includes('INFO') ? '' : await onRedis(() => redis.info('memory'));
  return { forbidden, evicts: /maxmemory_policy:allkeys/.test(info) };
}

/** Says what a person must change. */
export function reportSelfTest(log: Log, { forbidden, evicts }: SelfTest): void {
  if (forbidden.length > 0) {
    log.error('Redis forbids commands that wxkeeper needs; change the ACL of its user', {
      forbidden,
    });
  }
  if (evicts) {
    log.error(
      'Redis may evict any key when its memory is full, refresh tokens among them: set ' +
        'maxmemory-policy noeviction',
    );
  }
}
