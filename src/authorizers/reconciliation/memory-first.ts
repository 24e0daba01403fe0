import type { Clock } from '../../lib/clock.ts';
import type { Keeper } from '../../credentials/keeper.ts';
import { readReplicas } from '../../store/operations/replicas.ts';
import type { Store } from '../../store/redis/store.ts';

/**
 * Memory first: what Redis has lost is written back by the replicas that remember it, with its live
 * tokens. Only then WeChat's list may bring what nobody remembers: it holds no tokens, so that whoever it
 * restored would be minted anew, and the value in the memory of a replica would count for nothing.
 */
export interface MemoryFirst {
  /** Redis may have lost anything. */
  begin(): void;
  /** Milliseconds until it makes sense to ask again; 0 when every replica had its chance. */
  waitMs(): Promise<number>;
}

/** Milliseconds: two maintenance rounds, in which every replica notices, and says so. */
const GRACE_MS = 30_000;
/** Milliseconds until a replica is asked for again that still writes back. */
const AGAIN_MS = 5_000;
/** Milliseconds after which nobody is waited for: a replica that cannot finish must not hold this up. */
const LONGEST_MS = 600_000;
/** Milliseconds without a beat after which a replica is gone: see the heartbeat. */
const GONE_MS = 45_000;

export function createMemoryFirst(context: {
  store: Store;
  clock: Clock;
  keeper: Pick<Keeper, 'onRedisBack' | 'isRestoring'>;
  replica: string;
}): MemoryFirst {
  const { store, clock, keeper, replica } = context;
  let begunAt: number | undefined;
  let waitingSince: number | undefined;

  async function anybodyRestores(): Promise<boolean> {
    if (keeper.isRestoring()) return true;
    const now = store.time.now();
    return (await readReplicas(store)).some(({ id, restoring, seenAt, stoppedAt }) => {
      const there = stoppedAt === undefined && now - seenAt < GONE_MS;
      return id !== replica && there && restoring === true;
    });
  }
  return {
    begin() {
      begunAt = clock.monotonic();
      waitingSince = undefined;
      keeper.onRedisBack();
    },
    async waitMs() {
      const now = clock.monotonic();
      const grace = begunAt === undefined ? 0 : begunAt + GRACE_MS - now;
      if (grace > 0) return grace;
      const busy = await anybodyRestores();
      waitingSince = busy ? (waitingSince ?? now) : undefined;
      return waitingSince !== undefined && now - waitingSince < LONGEST_MS ? AGAIN_MS : 0;
    },
  };
}
