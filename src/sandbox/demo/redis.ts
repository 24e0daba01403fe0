import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import type { Log } from '../../lib/log.ts';
import { ConfigError } from '../../config/faults.ts';
import { loadRedis } from '../../config/load.ts';
import { usesTls, type RedisSettings } from '../../config/redis.ts';
import { GROUPS } from '../../config/settings.ts';
import type { RedisClient } from '../../store/redis/client.ts';
import { connectRedis, whenReady } from '../../store/redis/connection.ts';
import { mastersOf } from '../../store/redis/shards.ts';
import { shortened } from '../redis/binary.ts';
import { findRedis, startRedisServer } from '../redis/launch.ts';
import { UsageError } from './flags.ts';

/** The Redis of one demo: a server of its own, or a running one in which it keeps to its own keys. */
export interface DemoRedis {
  settings: RedisSettings;
  /** The same as an operator writes it. */
  env: Record<string, string>;
  /** Before every key. */
  prefix: string;
  /** Start of a redis-cli command line, ready to paste. */
  cli: string;
  /** Which one it is, for people. */
  description: string;
  stop(): Promise<void>;
}

type Environment = Readonly<Record<string, string | undefined>>;

const SETTING_NAMES = Object.values(GROUPS.redis).map(({ name }) => name);
const CONNECT_TIMEOUT_MS = 3_000;
const SCAN_COUNT = 500;

/**
 * @throws UsageError when the wishes contradict each other
 * @throws Error that tells how to get a Redis, when there is none
 */
export async function openRedis(options: {
  data: string | undefined;
  /** May name a running one. */
  env: Environment;
  say: (line: string) => void;
  log: Log;
}): Promise<DemoRedis> {
  const { data, say, log } = options;
  const names = SETTING_NAMES.flatMap((name) => [name, `${name}_FILE`]);
  const given = names.flatMap((name) => {
    const text = options.env[name] ?? '';
    return text === '' ? [] : [[name, text] as const];
  });
  const env = Object.fromEntries(given);
  const [way] = given.find(([name]) => /^REDIS_(?:URL|SENTINELS|CLUSTER)/.test(name)) ?? [];
  if (way === undefined) return await ownServer(data, say);
  if (data !== undefined) {
    throw new UsageError(`--data is for a Redis of the demo, and ${way} names another one`);
  }
  return await runningServer(env, way, log);
}

async function ownServer(
  data: string | undefined,
  say: (line: string) => void,
): Promise<DemoRedis> {
  if (data !== undefined) await requireEmpty(data);
  const { version, source, command } = await findRedis({ say });
  const server = await startRedisServer({
    listen: 'port',
    appendOnly: true,
    ...(data !== undefined && { dir: data }),
  });
  const copy = `a private copy in ${shortened(command.replace(/\/root\/usr\/bin\/[^/]+$/, ''))}`;
  const origin = {
    REDIS_SERVER_BIN: 'named by REDIS_SERVER_BIN',
    path: 'found on PATH',
    cache: copy,
    fetched: copy,
  }[source];
  return {
    settings: { url: server.url, protocol: 3 },
    env: { REDIS_URL: server.url },
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

async function runningServer(
  env: Record<string, string>,
  way: string,
  log: Log,
): Promise<DemoRedis> {
  const settings = wantedSettings(env);
  const prefix = `wxkeeper-demo-${randomBytes(4).toString('hex')}:`;
  const redis = connectRedis(settings, log);
  if (!(await whenReady(redis, CONNECT_TIMEOUT_MS))) {
    redis.disconnect();
    // Without the URL: it may hold a password.
    throw new Error(`The Redis that ${way} names does not answer, or refuses the login.`);
  }
  return {
    settings,
    env,
    prefix,
    cli: cliFor(settings),
    description: `the running one that ${way} names; keys begin with ${prefix}`,
    async stop() {
      // Whoever may not list keys hears of it, and is not kept waiting by the connection.
      await removeKeys(redis, prefix).finally(() => redis.disconnect());
    },
  };
}

/** @throws UsageError in place of what a service says that cannot start */
function wantedSettings(env: Environment): RedisSettings {
  try {
    return loadRedis(env);
  } catch (error) {
    if (error instanceof ConfigError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** The start of a command line that finds the values; with Sentinels any of its servers does for reading. */
function cliFor(settings: RedisSettings): string {
  const { url, cluster, username, password, tlsCa } = settings;
  const where = () => {
    if (url !== undefined) return url.includes('://') ? ' -u "$REDIS_URL"' : ' -s "$REDIS_URL"';
    const [{ host, port } = { host: '', port: 0 }] = cluster ?? [];
    return cluster === undefined ? '' : ` -c -h ${host} -p ${port}`;
  };
  const parts = [
    where(),
    username !== undefined && ' --user "$REDIS_USERNAME"',
    password !== undefined && ' --pass "$REDIS_PASSWORD"',
    url === undefined && usesTls(settings) && ' --tls',
    tlsCa !== undefined && ' --cacert "$REDIS_TLS_CA_FILE"',
  ];
  return `redis-cli${parts.filter((part) => part !== false).join('')}`;
}

/** One by one: in a cluster they are in many slots. */
async function removeKeys(redis: RedisClient, prefix: string): Promise<void> {
  for (const master of mastersOf(redis)) {
    let cursor = '0';
    do {
      const [next, keys] = await master.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', SCAN_COUNT);
      await Promise.all(keys.map((key) => master.unlink(key)));
      cursor = next;
    } while (cursor !== '0');
  }
}
