import type { Redis } from 'ioredis';
import { createKeeper, type Keeper } from '../../src/credentials/keeper.ts';
import { createLocalCopies } from '../../src/credentials/local-copy.ts';
import type { RedisClient } from '../../src/store/redis/client.ts';
import { createWechatApi } from '../../src/wechat/client.ts';
import { collectLog, type LogLine } from './logs.ts';
import type { TestPlatform } from './platform.ts';
import { createSignal } from './waiting.ts';

/**
 * The part of a replica that mints, stopped at chosen points: between begin and send, between WeChat's
 * answer and the commit. One that never goes on is, for everybody else, a process that was killed.
 */
export interface DoomedReplica {
  keeper: Keeper;
  logs: LogLine[];
  /** Resolves when the replica has come to its first stop. */
  stopped: Promise<void>;
  /** Lets it go on. */
  wake(): void;
}

export type StoppingPoint = 'before begin returns' | 'before send' | 'after answer';

/** @param point where the first mint of this replica stops */
export function createDoomedReplica(platform: TestPlatform, point: StoppingPoint): DoomedReplica {
  const { clock, config } = platform;
  const stopped = createSignal();
  const woken = createSignal();
  const stopAt = async (here: StoppingPoint) => {
    if (here !== point) return;
    stopped.give();
    await woken.given;
  };
  const store = { ...platform.store, redis: stoppingAfterBegin(platform.store.redis, stopAt) };
  const { log, lines: logs } = collectLog();
  const call = createWechatApi({ baseUrls: config.wechatApiBaseUrls, clock, log });
  const keeper = createKeeper({
    store,
    clock,
    log,
    memory: createLocalCopies(clock, store.time),
    replica: 'doomed',
    windowMs: config.refreshWindowMs,
    rateLimit: { perSecond: 50, burst: 100 },
    subjects: { components: config.components, accounts: config.accounts },
    async api(request) {
      await stopAt('before send');
      const answer = await call(request);
      await stopAt('after answer');
      return answer;
    },
  });
  return { keeper, logs, stopped: stopped.given, wake: woken.give };
}

/** Redis has granted a mint, and the process that asked for it does not hear of it yet. */
function stoppingAfterBegin<T extends RedisClient>(
  redis: T,
  stopAt: (point: StoppingPoint) => Promise<void>,
): T {
  const run = async (command: 'evalsha' | 'eval', args: Parameters<Redis['evalsha']>) => {
    const answer: unknown = await redis[command](...args);
    if (args.some((one) => String(one).includes('"judged_seq"'))) {
      await stopAt('before begin returns');
    }
    return answer;
  };
  return new Proxy(redis, {
    get(target, name) {
      if (name === 'evalsha' || name === 'eval') {
        return (...args: Parameters<Redis['evalsha']>) => run(name, args);
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
