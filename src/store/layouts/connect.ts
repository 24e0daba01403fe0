import { Redis } from 'ioredis';
import type { RedisSettings } from '../../config/redis.ts';
import { createClient, type RedisClient } from '../redis/client.ts';
import { firstWordsOf, wordOf, type RedisError } from '../redis/error-words.ts';

/**
 * A connection of its own for published keys: what is refused there, and how slow it is, says nothing about
 * the one that wxkeeper works with.
 */
export interface LayoutConnection {
  redis: RedisClient;
  /** Why it cannot be used, as a word of the table and as Redis said it; undefined when that is not known. */
  trouble(): { word: string; words: string } | undefined;
  /** Closes it. */
  close(): void;
}

/** @param onReady called each time it is there, or there again */
export function connectForLayouts(settings: RedisSettings, onReady: () => void): LayoutConnection {
  const redis = createClient(settings, 'commands');
  let last: RedisError | undefined;
  redis.on('error', (error: RedisError) => {
    // Without its SELECT it would write into database 0.
    if (redis instanceof Redis && redis.status === 'connect') redis.disconnect(true);
    last = error;
  });
  redis.on('ready', () => {
    last = undefined;
    onReady();
  });
  return {
    redis,
    trouble: () => last && said(last),
    close: () => redis.disconnect(),
  };
}

/** What Redis had to say, where it was Redis that refused. */
export function refusalIn(error: unknown): { word: string; words: string } | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof Error) || cause.name !== 'ReplyError') return undefined;
  return said(cause);
}

/** Of what is no answer of Redis the word says it all. */
function said(error: RedisError): { word: string; words: string } {
  const words = error.name === 'ReplyError' ? firstWordsOf(error) : '';
  return { word: wordOf(error), words };
}
