import { Cluster, Redis } from 'ioredis';
import type { RedisSettings } from '../../config/redis.ts';
import { sleep, systemClock, type Clock } from '../../lib/clock.ts';
import { KeeperError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { COMMAND_TIMEOUT_MS, createClient, type RedisClient, type RedisPurpose } from './client.ts';
import { healthOf, NODE_AWAY, watchHealth, type RedisHealth } from './health.ts';
import { CLOSED, explainWord, firstWordsOf, wordOf, type RedisError } from './error-words.ts';
import { AWAY_ALARM_MS, watchShards } from './shards.ts';

/** The connection to Redis, and how work is done on it. */

/** Milliseconds between two looks whether a connection that broke is there again. */
const BACK_MS = 20;
/** The same in a cluster, where each look may ask several nodes. */
const SHARD_BACK_MS = 100;

/**
 * Opens a client and returns at once; it keeps reconnecting for ever with capped, jittered delays.
 * Commands fail at once while there is no connection.
 */
export function connectRedis(
  settings: RedisSettings & { url: string },
  log: Log,
  purpose?: RedisPurpose,
  clock?: Clock,
): Redis;
export function connectRedis(
  settings: RedisSettings,
  log: Log,
  purpose?: RedisPurpose,
  clock?: Clock,
): RedisClient;
export function connectRedis(
  settings: RedisSettings,
  log: Log,
  purpose: RedisPurpose = 'commands',
  clock: Clock = systemClock,
): RedisClient {
  const redis = createClient(settings, purpose);
  watch(redis, watchHealth(redis, clock), log, clock);
  if (redis instanceof Cluster) watchShards(redis, log, clock);
  else if (settings.url !== undefined) noticeSentinel(redis, log);
  return redis;
}

/** Resolves when the client can take commands, or after `timeoutMs`: then with false. */
export async function whenReady(redis: RedisClient, timeoutMs: number): Promise<boolean> {
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
      const lost = nameOf(error) === 'MaxRetriesPerRequestError';
      if (!lost && !isNodeAway(error)) throw error;
      return onceMore(work, begun + COMMAND_TIMEOUT_MS, lost ? BACK_MS : SHARD_BACK_MS);
    });
  } catch (cause) {
    throw new KeeperError('store_unavailable', inWords(cause), { cause, retryAfterSeconds: 2 });
  }
}

/**
 * Nothing is sent while there is no connection, so of one Redis this does the work once at the most. In a
 * cluster what has reached other nodes is done again: all that we do may be.
 */
async function onceMore<T>(work: () => Promise<T>, until: number, pauseMs: number): Promise<T> {
  for (;;) {
    await sleep(systemClock, pauseMs);
    try {
      return await work();
    } catch (error) {
      if (!(isDisconnected(error) || isNodeAway(error)) || systemClock.monotonic() >= until)
        throw error;
    }
  }
}

function inWords(cause: unknown): string {
  if (nameOf(cause) === 'ReplyError') return 'Redis refused a command.';
  if (isDisconnected(cause) || isNodeAway(cause))
    return 'There is no connection to Redis; try again.';
  return 'Redis does not answer; try again.';
}

function isDisconnected(error: unknown): boolean {
  return error instanceof Error && / isn't (?:writeable|ready) and enableOff/.test(error.message);
}

function isNodeAway(error: unknown): boolean {
  return nameOf(error) === NODE_AWAY;
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
function watch(redis: RedisClient, health: RedisHealth, log: Log, clock: Clock): void {
  let lastProblem: string | undefined;
  let awaySince: number | undefined;
  let alarmed = false;
  let unasked = 0;
  const isAway = () => {
    awaySince ??= clock.monotonic();
    if (alarmed || clock.monotonic() - awaySince < AWAY_ALARM_MS) return;
    alarmed = true;
    log.error('Redis has been away for 15 minutes: nothing is stored and nothing is refreshed');
  };
  redis.on('error', (error: RedisError) => {
    // A handshake that failed in any part: without its SELECT we would work on database 0.
    if (redis instanceof Redis && redis.status === 'connect') redis.disconnect(true);
    // What comes of that is no cause.
    if (isDisconnected(error) || error.message === CLOSED) return;
    // Looking for a master among Sentinels is no reconnecting.
    if (redis.status !== 'ready') isAway();
    // A client of Sentinels says so at the end of its list, wherever it has begun; twice, it has asked them all.
    unasked = isUnasked(error) ? unasked + 1 : 0;
    if (unasked === 1) return;
    const problem = wordOf(error);
    health.trouble = { word: problem, words: firstWordsOf(error) };
    if (problem === lastProblem) return;
    lastProblem = problem;
    complain(log, problem, error);
  });
  redis.on('reconnecting', isAway);
  redis.on('ready', () => {
    lastProblem = undefined;
    awaySince = undefined;
    alarmed = false;
    unasked = 0;
    health.trouble = undefined;
    log.info('Redis connected');
  });
}

/** Whether no Sentinel is known to have said or done anything wrong. */
function isUnasked({ message }: Error): boolean {
  return message.startsWith('All sentinels are unreachable') && !message.includes(' Last error: ');
}

function complain(log: Log, problem: string, error: RedisError): void {
  const { means, remedy } = explainWord(problem) ?? {};
  const refused = error.name === 'ReplyError';
  const says = refused ? { redis_says: firstWordsOf(error) } : {};
  const help = remedy === undefined ? {} : { advice: remedy.en };
  const fields = { problem, ...says, ...help };
  if (/^(?:NOAUTH|WRONGPASS|NOPERM)$/.test(problem)) {
    log.error('Redis refuses our login; check user and password', fields);
  } else if (means !== undefined && problem !== 'LOADING') {
    log.error(`Redis cannot be used: ${means.en}`, fields);
  } else {
    log.warn('Redis connection failed, reconnecting', fields);
  }
}

/** It takes connections and commands about Redis servers, and stores nothing. */
function noticeSentinel(redis: Redis, log: Log): void {
  redis.on('ready', () => {
    void (async () => {
      const server = await redis.info('server').catch(() => '');
      if (!/^redis_mode:sentinel/m.test(server)) return;
      const health = healthOf(redis);
      if (health !== undefined) {
        health.trouble = { word: 'SENTINEL', words: 'redis_mode:sentinel' };
      }
      const { means, remedy } = explainWord('SENTINEL') ?? {};
      log.error(`Redis cannot be used: ${means?.en ?? ''}`, {
        problem: 'SENTINEL',
        advice: remedy?.en,
      });
    })();
  });
}
