import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { StoreTime } from '../redis/time.ts';

/**
 * Compares the clocks that matter: this process's, by which pushes are judged, Redis's, by which
 * credentials are, and WeChat's, which is right by definition.
 */
export interface ClockWatch {
  /** Takes the `Date` of an answer of WeChat's, epoch ms. */
  heardFromWechat(wechatNow: number): void;
  /** Logs a difference once when it begins and once when it ends. */
  check(): void;
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

export function createClockWatch(options: { clock: Clock; time: StoreTime; log: Log }): ClockWatch {
  const { clock, time, log } = options;
  /** How far WeChat's clock is ahead of our monotonic one: a later jump of our wall clock shows. */
  let wechatAhead: number | undefined;
  let warned = false;
  const skew = (): ClockSkew => {
    const now = clock.now();
    const processVsRedis = now - time.now();
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
    check() {
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
