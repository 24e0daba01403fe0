import type { Redis } from 'ioredis';
import type { Clock } from '../../lib/clock.ts';

/**
 * The time of records: Redis's clock, which is one for all replicas, carried forward between two
 * readings by this process's monotonic clock. A wrong wall clock of a replica thus decides nothing.
 */
export interface StoreTime {
  /** Epoch ms. The wall clock's until Redis was read for the first time. */
  now(): number;
  /** For scripts: undefined lets them read Redis's clock themselves. */
  forScripts(): number | undefined;
  /** Notes what Redis's clock said just now, epoch ms. */
  learn(redisNow: number): void;
}

export function createStoreTime(clock: Clock): StoreTime {
  const { simulatedStoreNow } = clock;
  if (simulatedStoreNow !== undefined) {
    return { now: simulatedStoreNow, forScripts: simulatedStoreNow, learn: () => undefined };
  }
  let ahead: number | undefined;
  return {
    now: () => (ahead === undefined ? clock.now() : Math.round(clock.monotonic() + ahead)),
    forScripts: () => undefined,
    learn(redisNow) {
      ahead = redisNow - clock.monotonic();
    },
  };
}

/** What this server's clock says, epoch ms. */
export async function readTime(server: Pick<Redis, 'time'>): Promise<number> {
  const [seconds, micros] = await server.time();
  return Number(seconds) * 1000 + Math.round(Number(micros) / 1000);
}
