import { schedule } from 'node-cron';
import type { Log } from '../lib/log.ts';

/** Cron expressions are read in WeChat's own time, which has no daylight saving. */
const TIMEZONE = 'Asia/Shanghai';

export interface CronTask {
  /** The next moments at which it ticks, epoch ms. */
  nextTicks(count: number): number[];
  stop(): void;
}

/**
 * Starts ticking. `onTick` is called with `cron` at each tick and with `made_up` when a tick was
 * missed because the process was blocked, or fell into a run that had not ended yet.
 */
export type StartCron = (options: {
  name: string;
  expression: string;
  log: Log;
  onTick: (trigger: 'cron' | 'made_up') => Promise<void>;
}) => CronTask;

export const startNodeCron: StartCron = ({ name, expression, log, onTick }) => {
  const task = schedule(expression, () => onTick('cron'), {
    name,
    timezone: TIMEZONE,
    noOverlap: true,
    suppressMissedWarning: true,
    logger: {
      info: (message) => log.debug(message, { job: name }),
      debug: (message) => log.debug(String(message), { job: name }),
      warn: (message) => log.warn(message, { job: name }),
      error: (message) => log.error('cron failed', { job: name, error: message }),
    },
  });
  task.on('execution:missed', () => void onTick('made_up'));
  task.on('execution:overlap', () => void onTick('made_up'));
  return {
    nextTicks: (count) => task.getNextRuns(count).map((date) => date.getTime()),
    stop: () => void task.destroy(),
  };
};
