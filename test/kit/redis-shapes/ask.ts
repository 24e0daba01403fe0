import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { POLLING } from '../waiting.ts';

/** Over a connection of its own, which gives up rather than wait. */
export async function asked<T>(
  { url }: { url: string },
  question: (redis: Redis) => Promise<T>,
): Promise<T> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: null, commandTimeout: 5_000 });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await question(redis);
  } finally {
    redis.disconnect();
  }
}

/** One command. Some of those for clusters and sentinels have no method in ioredis. */
export function ask(
  server: { url: string },
  name: string,
  ...args: (string | number)[]
): Promise<unknown> {
  return asked(server, (redis) => redis.call(name, ...args));
}

/**
 * Resolves when it is so; whoever cannot be asked may still come up.
 * `vi.waitFor` does the same, and is to be had in a worker of vitest only.
 */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + POLLING.timeout;
  let cause: unknown;
  for (;;) {
    const answer = await isSo().catch((error: unknown) => {
      cause = error;
      return false;
    });
    if (answer) return;
    if (performance.now() > giveUpAt) throw new Error(`never happened: ${what}`, { cause });
    await sleep(POLLING.interval);
  }
}
