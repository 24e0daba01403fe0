import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
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

interface Slot {
  job: Job;
  running: Promise<void> | undefined;
  /** A tick came while the job was running, so it runs once more. */
  again: boolean;
  cron: CronTask | undefined;
}

interface SchedulerState {
  slots: readonly Slot[];
  store: Store;
  clock: Clock;
  log: Log;
  replica: string;
  stopping: boolean;
}

export function createScheduler(options: {
  jobs: readonly Job[];
  store: Store;
  clock: Clock;
  log: Log;
  startCron: StartCron;
  replica: string;
}): Scheduler {
  const { jobs, startCron, ...rest } = options;
  const slots: Slot[] = jobs.map((job) => ({
    job,
    running: undefined,
    again: false,
    cron: undefined,
  }));
  const state: SchedulerState = { ...rest, slots, stopping: false };
  return {
    async start() {
      for (const slot of slots) {
        const { name, expression } = slot.job;
        const onTick = (trigger: Trigger) => run(state, slot, trigger);
        slot.cron = startCron({ name, expression, log: state.log, onTick });
      }
      for (const slot of slots) await run(state, slot, 'start');
    },
    nextTick(jobName, notBefore) {
      const cron = slots.find((slot) => slot.job.name === jobName)?.cron;
      return cron?.nextTicks(TICKS_AHEAD).find((tick) => tick >= notBefore);
    },
    idle: () => idle(state),
    async stop() {
      state.stopping = true;
      for (const { cron } of slots) cron?.stop();
      await idle(state);
    },
  };
}

async function idle({ slots }: SchedulerState): Promise<void> {
  for (const { running } of slots) await running;
}

function run(state: SchedulerState, slot: Slot, trigger: Trigger): Promise<void> {
  if (state.stopping) return Promise.resolve();
  if (slot.running !== undefined) {
    slot.again = true;
    return slot.running;
  }
  slot.running = runUntilDone(state, slot, trigger);
  return slot.running;
}

async function runUntilDone(state: SchedulerState, slot: Slot, trigger: Trigger): Promise<void> {
  await runOnce(state, slot.job, trigger);
  while (slot.again && !state.stopping) {
    slot.again = false;
    await runOnce(state, slot.job, 'made_up');
  }
  slot.running = undefined;
}

/** Never rejects: a job that fails must not end the ticking. */
async function runOnce(state: SchedulerState, job: Job, trigger: Trigger): Promise<void> {
  const { store, clock, log, replica } = state;
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
