import { Cluster } from 'ioredis';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { RedisClient } from '../redis/client.ts';
import { mastersOf } from '../redis/shards.ts';
import { readTime, type StoreTime } from '../redis/time.ts';

/**
 * Compares the clocks that matter: this process's, by which pushes are judged, Redis's, by which
 * credentials are, and WeChat's, which is right by definition.
 */
export interface ClockWatch {
  /** Takes the `Date` of an answer of WeChat's, epoch ms. */
  heardFromWechat(wechatNow: number): void;
  /**
   * Looks at the masters of a cluster, each of which has a clock of its own, and logs a difference once
   * when it begins and once when it ends.
   */
  check(): Promise<void>;
  skew(): ClockSkew;
}

/** Milliseconds by which a clock is ahead of WeChat's, or of Redis's; null when not known. */
export interface ClockSkew {
  processVsRedis: number;
  processVsWechat: number | null;
  /** Far enough apart to do harm. */
  wrong: boolean;
}

/** Milliseconds. WeChat's signatures are accepted for five minutes. */
const MAX_SKEW_MS = 60_000;

export function createClockWatch(options: {
  clock: Clock;
  time: StoreTime;
  redis: RedisClient;
  log: Log;
}): ClockWatch {
  const { clock, time, redis, log } = options;
  /** How far WeChat's clock is ahead of our monotonic one: a later jump of our wall clock shows. */
  let wechatAhead: number | undefined;
  /** The same of each master of a cluster. */
  let mastersAhead: number[] = [];
  let warned = false;
  const skew = (): ClockSkew => {
    const now = clock.now();
    const redisNow = [time.now(), ...mastersAhead.map((ahead) => clock.monotonic() + ahead)];
    const processVsRedis = redisNow
      .map((at) => Math.round(now - at))
      .reduce((worst, one) => (Math.abs(one) > Math.abs(worst) ? one : worst));
    const processVsWechat =
      wechatAhead === undefined ? null : Math.round(now - clock.monotonic() - wechatAhead);
    const redisVsWechat = (processVsWechat ?? 0) - processVsRedis;
    const differences = [processVsRedis, processVsWechat ?? 0, redisVsWechat];
    return {
      processVsRedis,
      processVsWechat,
      wrong: differences.some((difference) => Math.abs(difference) > MAX_SKEW_MS),
    };
  };
  return {
    heardFromWechat(wechatNow) {
      wechatAhead = wechatNow - clock.monotonic();
    },
    skew,
    async check() {
      if (redis instanceof Cluster && clock.simulatedStoreNow === undefined) {
        mastersAhead = await readMasters(redis, clock);
      }
      const { wrong, processVsRedis, processVsWechat } = skew();
      if (wrong === warned) return;
      warned = wrong;
      const facts = {
        ahead_of_redis_seconds: Math.round(processVsRedis / 1000),
        ahead_of_wechat_seconds:
          processVsWechat === null ? null : Math.round(processVsWechat / 1000),
      };
      if (wrong) {
        log.error('clocks differ by more than a minute: check NTP here and at Redis', facts);
      } else log.info('clocks agree again', facts);
    },
  };
}

/** Milliseconds by which each is ahead of our monotonic clock. */
async function readMasters(redis: RedisClient, clock: Clock): Promise<number[]> {
  const ahead = await Promise.allSettled(
    mastersOf(redis).map(async (master) => (await readTime(master)) - clock.monotonic()),
  );
  // Of one that does not answer there is nothing to compare.
  return ahead.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
}
