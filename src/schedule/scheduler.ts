import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { KeyedWorker } from '../lib/worker.ts';
import { saveJobRun } from '../store/operations/job-runs.ts';
import type { Store } from '../store/redis/store.ts';
import type { CronTask, StartCron } from './cron.ts';
import type { Job, Trigger } from './jobs.ts';

/** Runs the jobs: at start, at every tick, never twice at once, and again when a tick was lost. */
export interface Scheduler {
  /** Starts ticking and runs every job once. Resolves when these first runs are done. */
  start(): Promise<void>;
  /** The first tick of a job at or after `notBefore`, epoch ms; undefined when it is too far off. */
  nextTick(job: string, notBefore: number): number | undefined;
  /** Resolves when no job is running. */
  idle(): Promise<void>;
  /** No further ticks; resolves when the running jobs are done. */
  stop(): Promise<void>;
}

/** Ticks looked at to find the one that meets a moment; computing each takes a while. */
const TICKS_AHEAD = 20;

interface RunContext {
  store: Store;
  clock: Clock;
  log: Log;
  replica: string;
}

export function createScheduler({
  jobs,
  startCron,
  ...context
}: RunContext & { jobs: readonly Job[]; startCron: StartCron }): Scheduler {
  const { clock, log } = context;
  const byName = new Map(jobs.map((job) => [job.name, job]));
  const crons = new Map<string, CronTask>();
  /** Of the next run of each job. */
  const triggers = new Map<string, Trigger>();
  const worker = new KeyedWorker(clock, {
    async run(name) {
      const job = byName.get(name);
      if (job !== undefined) await runOnce(context, job, triggers.get(name) ?? 'made_up');
    },
    onFailure: (name, error) => log.error('a job could not be run', { job: name, error }),
  });
  const run = (name: string, trigger: Trigger) => {
    // A tick that comes while the job is running is made up for when that run has ended.
    triggers.set(name, worker.isRunning(name) ? 'made_up' : trigger);
    return worker.request(name, true);
  };
  return {
    async start() {
      for (const { name, expression } of jobs) {
        crons.set(name, startCron({ name, expression, log, onTick: (why) => run(name, why) }));
      }
      for (const { name } of jobs) await run(name, 'start');
    },
    nextTick(name, notBefore) {
      const ticks = crons.get(name)?.nextTicks(TICKS_AHEAD);
      return ticks?.find((tick) => tick >= notBefore);
    },
    idle: () => worker.idle(),
    async stop() {
      for (const cron of crons.values()) cron.stop();
      await worker.stop();
    },
  };
}

/** Never rejects: a job that fails must not end the ticking. */
async function runOnce(
  { store, clock, log, replica }: RunContext,
  job: Job,
  trigger: Trigger,
): Promise<void> {
  const startedAt = clock.now();
  const started = clock.monotonic();
  let ok = true;
  let summary = 'failed';
  try {
    ({ ok, summary } = await job.run(trigger));
  } catch (error) {
    ok = false;
    log.error('a job failed; its next tick runs all the same', { job: job.name, error });
  }
  const tookMs = Math.round(clock.monotonic() - started);
  log.debug('job done', { job: job.name, trigger, ok, summary, took_ms: tookMs });
  const jobRun = { startedAt, tookMs, trigger, replica, ok, summary };
  await saveJobRun(store, job.name, jobRun).catch((error: unknown) => {
    log.warn('a job run could not be noted', { job: job.name, error });
  });
}
