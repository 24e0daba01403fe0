import { KeeperError } from '../../lib/errors.ts';
import { healthOf } from '../../store/redis/health.ts';
import { examineCallback } from './callback.ts';
import { GROUPS, type Check } from './check.ts';
import { examineClock } from './clock.ts';
import { reasonOf, type Installation } from './installation.ts';
import { examineDeliveries } from './deliveries.ts';
import { examineOutgoing } from './outgoing.ts';
import { examineRedis, unreachable } from './redis.ts';
import { examineSettings } from './settings.ts';
import { examineStatus } from './status.ts';
import { examineTickets } from './tickets.ts';
import { examineWechat, type WechatVisit } from './wechat.ts';
import { examineWhitelist } from './whitelist.ts';

/** Everything, in the order of the groups. It changes nothing, at WeChat or in Redis. */
export async function examine(installation: Installation): Promise<Check[]> {
  // What can hang is looked at together.
  const [wechat, callback, deliveries] = await Promise.all([
    examineWays(installation),
    examineCallback(installation),
    examineDeliveries(installation),
  ]);
  const checks = [...examineSettings(installation), ...wechat.checks];
  const stored = [
    () => examineRedis(installation),
    // Learns Redis's time, by which the others judge.
    () => examineClock(installation, wechat.clock),
    () => examineTickets(installation),
    () => examineWhitelist(installation, wechat.isThere),
    () => examineStatus(installation, checks),
  ];
  for (const look of stored) checks.push(...(await orUnreachable(installation, look)));
  checks.push(...callback, ...deliveries);
  const order = Object.keys(GROUPS);
  return checks.sort((a, b) => order.indexOf(a.group) - order.indexOf(b.group));
}

/** The proxy first: behind one that is broken there is nothing to be seen of WeChat. */
async function examineWays(installation: Installation): Promise<WechatVisit> {
  const { checks, broken } = await examineOutgoing(installation);
  const wechat = await examineWechat(installation, broken);
  return { ...wechat, checks: [...checks, ...wechat.checks] };
}

/** Redis may go away in the middle; the rest of the report is still worth having. */
export async function orUnreachable(
  installation: Installation,
  look: () => Promise<Check[]>,
): Promise<Check[]> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof KeeperError) || error.code !== 'store_unavailable') throw error;
    if (installation.redisProblem !== undefined) return [];
    const { cause } = error;
    const { word } = healthOf(installation.store.redis)?.trouble ?? {};
    installation.redisProblem = word ?? reasonOf(cause instanceof Error ? cause : error);
    return [unreachable(installation)];
  }
}

/** Warnings are no reason to stop a deployment. */
export function isWell(checks: readonly Check[]): boolean {
  return checks.every(({ state }) => state !== 'failed');
}
