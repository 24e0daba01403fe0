import { isIP } from 'node:net';
import { Redis, type RedisOptions } from 'ioredis';
import { sleep, systemClock, type Clock } from '../../lib/clock.ts';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { watchHealth, type RedisHealth } from './health.ts';
import { explainWord, firstWordsOf, wordOf, type RedisError } from './error-words.ts';

/**
 * The connection to Redis, with everything bounded: WeChat hangs up after 5 s, and ioredis's
 * defaults would keep a command waiting for more than a minute.
 */

const COMMAND_TIMEOUT_MS = 1_000;
const CONNECT_TIMEOUT_MS = 2_000;
const SOCKET_TIMEOUT_MS = 3_000;
/** Milliseconds between two looks whether a connection that broke is there again. */
const BACK_MS = 20;
/** After this long without Redis a person must act. */
const AWAY_ALARM_MS = 15 * 60 * 1000;
const MAX_RECONNECT_DELAY_MS = 2_000;

export interface RedisSettings {
  /** `redis://`, `rediss://` or the path of a socket. */
  url: string;
  protocol: 2 | 3;
}

/** `blocking` is for XREAD BLOCK and the like: such a client must not be shared with what cannot wait. */
export type RedisPurpose = 'commands' | 'blocking';

/**
 * Opens a client and returns at once; it keeps reconnecting for ever with capped, jittered delays.
 * Commands fail at once while there is no connection.
 */
export function connectRedis(
  settings: RedisSettings,
  log: Log,
  purpose: RedisPurpose = 'commands',
  clock: Clock = systemClock,
): Redis {
  const options = optionsFor(settings, purpose);
  const redis = settings.url.includes('://')
    ? new Redis(settings.url, options)
    : new Redis({ ...options, path: settings.url });
  watch(redis, watchHealth(redis, clock), log, clock);
  return redis;
}

function optionsFor(settings: RedisSettings, purpose: RedisPurpose) {
  return {
    protocol: settings.protocol,
    ...tlsOf(settings.url),
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(purpose === 'commands' ? IMPATIENT : { maxRetriesPerRequest: 1 }),
    enableOfflineQueue: false,
    retryStrategy: (times: number) =>
      Math.min(MAX_RECONNECT_DELAY_MS, 50 * 2 ** Math.min(times, 6)) * (0.5 + Math.random() / 2),
    // After a failover the old master answers READONLY: whoever asked hears of it, and the next
    // connection finds the new one.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  } satisfies RedisOptions;
}

/**
 * Whoever sent a command waits for a second and then does without it, so nothing is sent again behind
 * his back: it would be executed when nobody expects it any more. What was under way when a connection
 * broke fails at once, and who still waits may ask again (`onRedis`).
 */
const IMPATIENT = {
  commandTimeout: COMMAND_TIMEOUT_MS,
  // A connection that has gone silent is replaced; TCP alone would take a quarter of an hour.
  socketTimeout: SOCKET_TIMEOUT_MS,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
} as const satisfies RedisOptions;

/** Verified whatever the environment says, and with the name by which a proxy picks the server. */
function tlsOf(url: string) {
  if (!url.startsWith('rediss://')) return {};
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '');
  // Addresses are no names for SNI (RFC 6066, 3).
  const name = isIP(host) === 0 ? { servername: host } : {};
  return { tls: { ...name, rejectUnauthorized: true } };
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
 * Runs one piece of work on Redis. When its answer is lost with the connection, it is done once more as
 * soon as there is another one, while whoever waits still does: all that we do may be done twice.
 * @throws KeeperError `store_unavailable` for whatever ioredis throws; its text stays in the cause
 */
export async function onRedis<T>(work: () => Promise<T>): Promise<T> {
  const begun = systemClock.monotonic();
  try {
    return await work().catch((error: unknown) => {
      if (nameOf(error) !== 'MaxRetriesPerRequestError') throw error;
      return onceMore(work, begun + COMMAND_TIMEOUT_MS);
    });
  } catch (cause) {
    throw new KeeperError('store_unavailable', inWords(cause), { cause, retryAfterSeconds: 2 });
  }
}

/** Nothing is sent while there is no connection, so this does the work once at the most. */
async function onceMore<T>(work: () => Promise<T>, until: number): Promise<T> {
  for (;;) {
    await sleep(systemClock, BACK_MS);
    try {
      return await work();
    } catch (error) {
      if (!isDisconnected(error) || systemClock.monotonic() >= until) throw error;
    }
  }
}

function inWords(cause: unknown): string {
  if (nameOf(cause) === 'ReplyError') return 'Redis refused a command.';
  if (isDisconnected(cause)) return 'There is no connection to Redis; try again.';
  return 'Redis does not answer; try again.';
}

function isDisconnected(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("Stream isn't writeable");
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined;
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

/** Whether Redis answered, and refused what it was asked: about other keys it may answer otherwise. */
export function isRefusedByRedis(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return nameOf(cause) === 'ReplyError';
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
function watch(redis: Redis, health: RedisHealth, log: Log, clock: Clock): void {
  let lastProblem: string | undefined;
  redis.on('error', (error: RedisError) => {
    // A handshake that failed in any part: without its SELECT we would work on database 0.
    if (redis.status === 'connect') redis.disconnect(true);
    // What comes of that is no cause.
    if (isDisconnected(error)) return;
    const problem = wordOf(error);
    health.trouble = { word: problem, words: firstWordsOf(error) };
    if (problem === lastProblem) return;
    lastProblem = problem;
    complain(log, problem, error);
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
    health.trouble = undefined;
    log.info('Redis connected');
    void noticeSentinel(redis, health, log);
  });
}

function complain(log: Log, problem: string, error: RedisError): void {
  const { means, remedy } = explainWord(problem) ?? {};
  const refused = error.name === 'ReplyError';
  const says = refused ? { redis_says: firstWordsOf(error) } : {};
  const help = remedy === undefined ? {} : { advice: remedy.en };
  const fields = { problem, ...says, ...help };
  if (/^(?:NOAUTH|WRONGPASS|NOPERM)$/.test(problem)) {
    log.error('Redis refuses our login; check the user and password in REDIS_URL', fields);
  } else if (means !== undefined && problem !== 'LOADING') {
    log.error(`Redis cannot be used: ${means.en}`, fields);
  } else {
    log.warn('Redis connection failed, reconnecting', fields);
  }
}

/** It takes connections and commands about Redis servers, and stores nothing. */
async function noticeSentinel(redis: Redis, health: RedisHealth, log: Log): Promise<void> {
  const server = await redis.info('server').catch(() => '');
  if (!/^redis_mode:sentinel/m.test(server)) return;
  health.trouble = { word: 'SENTINEL', words: 'redis_mode:sentinel' };
  const { means, remedy } = explainWord('SENTINEL') ?? {};
  log.error(`Redis cannot be used: ${means?.en ?? ''}`, {
    problem: 'SENTINEL',
    advice: remedy?.en,
  });
}
