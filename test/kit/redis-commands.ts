import type { RedisClient } from '../../src/store/redis/client.ts';
import { mastersOf } from '../../src/store/redis/shards.ts';

/** What a Redis was asked to do: command to number, those inside scripts included. */
export type CommandCounts = Readonly<Record<string, number>>;

/** Runs `work` and counts every command of every client meanwhile, but for the counting itself. */
export async function countCommands(
  redis: RedisClient,
  work: () => Promise<unknown>,
): Promise<CommandCounts> {
  const nodes = mastersOf(redis);
  for (const node of nodes) await node.config('RESETSTAT');
  await work();
  const texts = await Promise.all(nodes.map((node) => node.info('commandstats')));
  const counts: Record<string, number> = {};
  for (const [, name = '', calls = ''] of texts
    .join('\n')
    .matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
    if (name !== 'config|resetstat') counts[name] = (counts[name] ?? 0) + Number(calls);
  }
  return counts;
}

export function totalOf(counts: CommandCounts): number {
  return Object.values(counts).reduce((sum, one) => sum + one, 0);
}
