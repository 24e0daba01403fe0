import { onRedis } from '../../store/redis/connection.ts';
import { eachMaster } from '../../store/redis/shards.ts';
import { readTime } from '../../store/redis/time.ts';
import { both, failed, ok, skipped, type Check } from './check.ts';
import type { Installation } from './installation.ts';

/** This machine's clock against those that it must agree with. */

const MAX_SKEW_MS = 60_000;

/**
 * @param wechat WeChat's time by the first host that told it, when that was heard
 * @throws KeeperError `store_unavailable` when Redis goes away meanwhile
 */
export async function examineClock(
  installation: Installation,
  wechat: { date: number; heardAt: number } | undefined,
): Promise<Check[]> {
  const againstWechat = both('against WeChat', '与微信对比');
  return [
    wechat === undefined
      ? skipped('clock', againstWechat, both('no host answered', '没有域名应答'))
      : compare(againstWechat, wechat.heardAt - wechat.date),
    await againstRedis(installation),
  ];
}

async function againstRedis({ store, clock, redisProblem }: Installation): Promise<Check> {
  const name = both('against Redis', '与 Redis 对比');
  if (redisProblem !== undefined) {
    return skipped('clock', name, both('Redis cannot be used', '无法使用 Redis'));
  }
  const times = await onRedis(() => eachMaster(store.redis, readTime));
  const ahead = times.map((redisNow) => {
    store.time.learn(redisNow);
    return clock.now() - store.time.now();
  });
  // Of a cluster the one that is furthest away.
  const [worst = 0] = ahead.sort((a, b) => Math.abs(b) - Math.abs(a));
  return compare(name, worst);
}

/** @param aheadMs by how much this machine is ahead */
function compare(name: Check['name'], aheadMs: number): Check {
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  const [en, zh] = aheadMs < 0 ? ['behind', '慢'] : ['ahead', '快'];
  const seen =
    seconds === 0
      ? both('less than a second apart', '相差不到 1 秒')
      : both(`this machine is ${seconds} s ${en}`, `本机${zh} ${seconds} 秒`);
  if (Math.abs(aheadMs) <= MAX_SKEW_MS) return ok('clock', name, seen);
  return failed('clock', name, {
    code: 'clock_skew',
    seen,
    advice: both(
      'Set the clock by NTP (timedatectl set-ntp true), here and on the machine of Redis: pushes are ' +
        'refused at five minutes.',
      '用 NTP 校时（timedatectl set-ntp true），本机和 Redis 所在机器都要：相差五分钟推送就会被拒绝。',
    ),
  });
}
