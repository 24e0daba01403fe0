import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import type { Redis } from 'ioredis';
import type { Log } from '../../lib/log.ts';
import { connectRedis, whenReady } from '../../store/redis/connection.ts';
import { findRedis, startRedisServer } from '../redis/launch.ts';
import { UsageError } from './flags.ts';

/** The Redis of one demo: a server of its own, or a running one in which it keeps to its own keys. */
export interface DemoRedis {
  url: string;
  /** Before every key. */
  prefix: string;
  /** Start of a redis-cli command line, ready to paste. */
  cli: string;
  /** Which one it is, for people. */
  description: string;
  stop(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 3_000;
const SCAN_COUNT = 500;

/**
 * @throws UsageError when the wishes contradict each other
 * @throws Error that tells how to get a Redis, when there is none
 */
export async function openRedis(options: {
  data: string | undefined;
  /** REDIS_URL. */
  running: string | undefined;
  say: (line: string) => void;
  log: Log;
}): Promise<DemoRedis> {
  const { data, running, say, log } = options;
  if (running === undefined || running === '') return await ownServer(data, say);
  if (data !== undefined) {
    throw new UsageError('--data is for a Redis of the demo, and REDIS_URL names another one');
  }
  return await runningServer(running, log);
}

async function ownServer(
  data: string | undefined,
  say: (line: string) => void,
): Promise<DemoRedis> {
  if (data !== undefined) await requireEmpty(data);
  const { version, source } = await findRedis({ say });
  const server = await startRedisServer({
    listen: 'port',
    appendOnly: true,
    ...(data !== undefined && { dir: data }),
  });
  const origin = {
    REDIS_SERVER_BIN: 'named by REDIS_SERVER_BIN',
    path: 'found on PATH',
    cache: 'a private copy in .cache/redis',
    fetched: 'a private copy in .cache/redis',
  }[source];
  return {
    url: server.url,
    prefix: 'wx:',
    cli: server.cli,
    description: `${version}, ${origin}; append-only file in ${data ?? 'a temporary folder'}`,
    stop: () => server.stop(),
  };
}

/**
 * Tickets and tokens of an earlier demo mean nothing to a new pretend WeChat; and a folder with
 * other data in it is surely not meant for this.
 */
async function requireEmpty(data: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(data);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    throw new UsageError(`--data ${data} cannot be used: ${code ?? 'unreadable'}`, {
      cause: error,
    });
  }
  if (names.length > 0) throw new UsageError(`--data ${data} is not empty: name a new folder`);
}

async function runningServer(url: string, log: Log): Promise<DemoRedis> {
  const prefix = `wxkeeper-demo-${randomBytes(4).toString('hex')}:`;
  const redis = connectRedis({ url, protocol: 3 }, log);
  if (!(await whenReady(redis, CONNECT_TIMEOUT_MS))) {
    redis.disconnect();
    // Without the URL: it may hold a password.
    throw new Error('The Redis that REDIS_URL names does not answer, or refuses the login.');
  }
  const isUrl = url.includes('://');
  return {
    url,
    prefix,
    cli: isUrl ? 'redis-cli -u "$REDIS_URL"' : 'redis-cli -s "$REDIS_URL"',
    description: `the running one that REDIS_URL names; keys begin with ${prefix}`,
    async stop() {
      await removeKeys(redis, prefix);
      redis.disconnect();
    },
  };
}

async function removeKeys(redis: Redis, prefix: string): Promise<void> {
  let cursor = '0';
  do {
    const [next, keys] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', SCAN_COUNT);
    if (keys.length > 0) await redis.unlink(...keys);
    cursor = next;
  } while (cursor !== '0');
}
