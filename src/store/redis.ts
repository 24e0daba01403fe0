import { Redis } from 'ioredis';
import { systemClock, type Clock } from '../clock.ts';
import { KeeperError } from '../errors.ts';
import type { Log } from '../log.ts';

/**
 * The connection to Redis, with everything bounded: WeChat hangs up after 5 s, and ioredis's
 * defaults would keep a command waiting for more than a minute.
 */

const COMMAND_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
const SOCKET_TIMEOUT_MS = 3_000;
/** After this long without Redis a person must act. */
const AWAY_ALARM_MS = 15 * 60 * 1000;
const MAX_RECONNECT_DELAY_MS = 2_000;

export interface RedisSettings {
  /** `redis://`, `rediss://` or the path of a socket. */
  url: string;
  protocol: 2 | 3;
}

/**
 * Opens a client and returns at once; it keeps reconnecting for ever with capped, jittered delays.
 * Commands fail at once while there is no connection.
 * @param purpose `blocking` is for XREAD BLOCK and the like: such a client has no command timeout
 *   and must not be shared with anything that cannot wait
 */
export function connectRedis(
  settings: RedisSettings,
  log: Log,
  purpose: 'commands' | 'blocking' = 'commands',
  clock: Clock = systemClock,
): Redis {
  const options = {
    protocol: settings.protocol,
    connectTimeout: CONNECT_TIMEOUT_MS,
    // A connection that has gone silent is replaced; TCP alone would take a quarter of an hour.
    ...(purpose === 'commands'
      ? { commandTimeout: COMMAND_TIMEOUT_MS, socketTimeout: SOCKET_TIMEOUT_MS }
      : {}),
    enableOfflineQueue: false,
    // Scripts are idempotent, so a command whose answer was lost may be sent once more.
    maxRetriesPerRequest: 1,
    retryStrategy: (times: number) =>
      Math.min(MAX_RECONNECT_DELAY_MS, 50 * 2 ** Math.min(times, 6)) * (0.5 + Math.random() / 2),
    // After a failover the old master answers READONLY: reconnect, resend once.
    reconnectOnError: (error: Error) =>
      error.message.startsWith('READONLY') ? (2 as const) : false,
  };
  const redis = settings.url.includes('://')
    ? new Redis(settings.url, options)
    : new Redis({ ...options, path: settings.url });
  watch(redis, log, clock);
  return redis;
}

/** Resolves when the client can take commands, or after `timeoutMs`: then with false. */
export async function whenReady(redis: Redis, timeoutMs: number): Promise<boolean> {
  if (redis.status === 'ready') return true;
  return new Promise((resolve) => {
    const finish = (ready: boolean) => {
      clearTimeout(timer);
      redis.off('ready', onReady);
      resolve(ready);
    };
    const onReady = () => finish(true);
    const timer = setTimeout(() => finish(false), timeoutMs);
    redis.once('ready', onReady);
  });
}

/**
 * Runs one piece of work on Redis.
 * @throws KeeperError `store_unavailable` for whatever ioredis throws; its text stays in the cause
 */
export async function onRedis<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const refused = cause instanceof Error && cause.name === 'ReplyError';
    const message = refused ? 'Redis refused a command.' : 'Redis does not answer; try again.';
    throw new KeeperError('store_unavailable', message, {
      cause,
      retryAfterSeconds: 2,
    });
  }
}

/**
 * The same for what only people look at: a key of another type, which somebody has put there by hand,
 * is as good as none.
 */
export async function onDisplayKey<T>(work: () => Promise<T>, none: T): Promise<T> {
  try {
    return await onRedis(work);
  } catch (error) {
    if (isWrongType(error)) return none;
    throw error;
  }
}

export function isWrongType(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && cause.message.includes('WRONGTYPE');
}

/** What JSON says that only people look at; undefined when it is none. */
export function parseDisplay(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

/** Logs each change of state once, not each of the many errors that reconnecting produces. */
function watch(redis: Redis, log: Log, clock: Clock): void {
  let lastProblem: string | undefined;
  redis.on('error', (error: Error & { code?: string }) => {
    const problem = error.code ?? error.message.split(' ', 1)[0] ?? 'error';
    if (problem === lastProblem) return;
    lastProblem = problem;
    if (/^(?:NOAUTH|WRONGPASS|NOPERM)/.test(error.message)) {
      log.error('Redis refuses our login; check the user and password in REDIS_URL', { problem });
    } else {
      log.warn('Redis connection failed, reconnecting', { problem });
    }
  });
  let awaySince: number | undefined;
  let alarmed = false;
  redis.on('reconnecting', () => {
    awaySince ??= clock.monotonic();
    if (alarmed || clock.monotonic() - awaySince < AWAY_ALARM_MS) return;
    alarmed = true;
    log.error('Redis has been away for 15 minutes: nothing is stored and nothing is refreshed');
  });
  redis.on('ready', () => {
    lastProblem = undefined;
    awaySince = undefined;
    alarmed = false;
    log.info('Redis connected');
  });
}
