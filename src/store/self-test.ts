import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Keys } from './keys.ts';
import { onRedis } from './redis.ts';
import { checkSealKeys, sealProblem } from './seal-check.ts';
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
  /** Why it takes no writes: `OOM`, `MISCONF` (it cannot save to disk) or `READONLY`. */
  refuses: string | undefined;
}

/** Milliseconds between two tries while all is well. */
const EVERY_MS = 60_000;

/** @throws KeeperError `store_unavailable` */
export async function testStore({ redis, keys }: Store): Promise<SelfTest> {
  const commands = neededCommands(keys);
  const forbidden: string[] = [];
  let refuses: string | undefined;
  const pipeline = redis.pipeline(commands.map(([name, ...args]) => [name.toLowerCase(), ...args]));
  const replies = (await onRedis(() => pipeline.exec())) ?? [];
  replies.forEach(([error], index) => {
    const word = /^(?:NOPERM|OOM|MISCONF|READONLY)/.exec(error?.message ?? '')?.[0];
    if (word === 'NOPERM') forbidden.push(commands[index]?.[0] ?? '');
    else refuses ??= word;
  });
  const info = forbidden.includes('INFO') ? '' : await onRedis(() => redis.info('memory'));
  return { forbidden, evicts: /maxmemory_policy:allkeys/.test(info), refuses };
}

/** Every command that we ever send, on keys of their own. */
export function neededCommands(keys: Keys): [string, ...(string | number)[]][] {
  const names = ['hash', 'other', 'text', 'list', 'stream', 'sorted', 'set'] as const;
  const [hash, other, text, list, stream, sorted, set] = names.map((name) =>
    keys.selfTest(name),
  ) as [string, string, string, string, string, string, string];
  return [
    ['PING'],
    ['TIME'],
    ['INFO', 'replication'],
    ['HSET', hash, 'a', 1],
    ['HGET', hash, 'a'],
    ['HMGET', hash, 'a', 'b'],
    ['HGETALL', hash],
    ['HSETNX', hash, 'a', 1],
    ['HINCRBY', hash, 'a', 1],
    ['HDEL', hash, 'b'],
    ['TYPE', hash],
    ['RENAME', hash, other],
    ['SET', text, 1, 'PX', 1_000],
    ['GET', text],
    ['EXISTS', text],
    ['LPUSH', list, 1],
    ['LTRIM', list, 0, 0],
    ['LRANGE', list, 0, -1],
    ['XADD', stream, '*', 'a', 1],
    ['XREVRANGE', stream, '+', '-', 'COUNT', 1],
    ['ZADD', sorted, 1, 'a'],
    ['ZCARD', sorted],
    ['ZCOUNT', sorted, '-inf', 1],
    ['ZSCORE', sorted, 'a'],
    ['ZMSCORE', sorted, 'a'],
    ['ZRANGE', sorted, 0, 0],
    ['ZRANGEBYLEX', sorted, '-', '+', 'LIMIT', 0, 1],
    ['ZRANGEBYSCORE', sorted, '-inf', 1, 'LIMIT', 0, 1],
    ['ZREM', sorted, 'a'],
    ['SADD', set, 'a'],
    ['SCARD', set],
    ['SMISMEMBER', set, 'a'],
    ['PEXPIRE', set, 1_000],
    ['PUBLISH', keys.selfTest('channel'), '{}'],
    ['EVAL', 'return 1', 0],
    ['EVALSHA', '0'.repeat(40), 0],
    ['DEL', hash, other, text, list, stream, sorted, set],
  ];
}

/** Tries Redis out from time to time, and says what has changed. */
export interface SelfTestWatch {
  /** Redis is there again. */
  now(): void;
  /** In each patrol: again when a minute has passed, or when the last time showed trouble. */
  onPatrol(): Promise<void>;
  last(): SelfTest | undefined;
  idle(): Promise<void>;
}

export function createSelfTestWatch(store: Store, log: Log, clock: Clock): SelfTestWatch {
  let last: SelfTest | undefined;
  let testedAt = -Infinity;
  let running: Promise<void> | undefined;

  async function tryOut(): Promise<void> {
    testedAt = clock.monotonic();
    try {
      const result = await testStore(store);
      report(log, last, result);
      last = result;
      await checkSealKeys(store, log);
    } catch (error) {
      log.debug('Redis went away while it was tried out', { error });
    }
  }
  return {
    now() {
      running = tryOut();
    },
    async onPatrol() {
      const trouble = last === undefined || isTrouble(last) || sealProblem(store) !== undefined;
      if (trouble || clock.monotonic() - testedAt >= EVERY_MS) await tryOut();
    },
    last: () => last,
    idle: async () => running,
  };
}

function isTrouble({ forbidden, evicts, refuses }: SelfTest): boolean {
  return forbidden.length > 0 || evicts || refuses !== undefined;
}

/** Says once what a person must change, and once that it is well again. */
function report(log: Log, before: SelfTest | undefined, { forbidden, evicts, refuses }: SelfTest) {
  if (forbidden.length > 0 && forbidden.join() !== before?.forbidden.join()) {
    log.error('Redis forbids commands that wxkeeper needs; change the ACL of its user', {
      forbidden,
    });
  }
  if (evicts && before?.evicts !== true) {
    log.error(
      'Redis may evict any key when its memory is full, refresh tokens among them: set ' +
        'maxmemory-policy noeviction',
    );
  }
  if (refuses !== undefined && refuses !== before?.refuses) {
    log.error('Redis takes nothing any more: look at its memory, its disk and its role', {
      problem: refuses,
    });
  }
  const well = forbidden.length === 0 && !evicts && refuses === undefined;
  if (well && before !== undefined && isTrouble(before)) log.info('Redis takes everything again');
}
