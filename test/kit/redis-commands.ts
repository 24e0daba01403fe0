import type { Redis } from 'ioredis';

/** What a Redis was asked to do: command to number, those inside scripts included. */
export type CommandCounts = Readonly<Record<string, number>>;

/** Runs `work` and counts every command of every client meanwhile, but for the counting itself. */
export async function countCommands(
  redis: Redis,
  work: () => Promise<unknown>,
): Promise<CommandCounts> {
  await redis.config('RESETSTAT');
  await work();
  const text = await redis.info('commandstats');
  const counts: Record<string, number> = {};
  for (const [, name = '', calls = ''] of text.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm)) {
    if (name !== 'config|resetstat') counts[name] = Number(calls);
  }
  return counts;
}

export function totalOf(counts: CommandCounts): number {
  return Object.values(counts).reduce((sum, one) => sum + one, 0);
}
