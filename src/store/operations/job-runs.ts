import { onDisplayKey, onRedis, parseDisplay } from '../redis/connection.ts';
import type { Store } from '../redis/store.ts';

/** The last run of a job, whichever replica did it. */
export interface JobRun {
  startedAt: number;
  tookMs: number;
  /** `cron`, `start` or `made_up`. */
  trigger: string;
  replica: string;
  ok: boolean;
  /** What it did, in a few words. */
  summary: string;
}

/** @throws KeeperError `store_unavailable` */
export async function saveJobRun(store: Store, job: string, run: JobRun): Promise<void> {
  await onRedis(() => store.redis.hset(store.keys.jobs, job, JSON.stringify(run)));
}

/** @throws KeeperError `store_unavailable` */
export async function readJobRuns(store: Store): Promise<Readonly<Record<string, JobRun>>> {
  const hash = await onDisplayKey(() => store.redis.hgetall(store.keys.jobs), {});
  const runs: Record<string, JobRun> = {};
  for (const [job, json] of Object.entries(hash)) {
    const run = parseDisplay(json) as JobRun | null | undefined;
    if (typeof run?.startedAt === 'number') runs[job] = run;
  }
  return runs;
}
