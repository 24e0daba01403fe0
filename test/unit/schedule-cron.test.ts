import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLog } from '../../src/lib/log.ts';
import { startNodeCron, type CronTask } from '../../src/schedule/cron.ts';
import { HOUR, MINUTE } from '../kit/platform.ts';

/** 08:00 in Shanghai. */
const MORNING = Date.UTC(2026, 10, 21, 0, 0, 0);
const EVERY_TEN_MINUTES = '*/10 * * * *';
const log = createLog({ level: 'error', stream: new PassThrough() });

describe('row 67: the real cron', () => {
  let task: CronTask | undefined;
  let ticks: string[];
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: MORNING + MINUTE });
    ticks = [];
  });
  afterEach(() => {
    task?.stop();
    vi.useRealTimers();
  });

  const shanghai = () => new Date(Date.now() + 8 * HOUR).toISOString().slice(11, 19);
  function startTicking(expression: string, during = () => Promise.resolve()) {
    const onTick = (trigger: string) => {
      ticks.push(`${trigger} ${shanghai()}`);
      return during();
    };
    task = startNodeCron({ name: 'job', expression, log, onTick });
    return task;
  }
  /** The event loop is blocked: time passes and no timer fires before its end. */
  async function block(ms: number): Promise<void> {
    vi.setSystemTime(Date.now() + ms);
    await vi.advanceTimersByTimeAsync(MINUTE);
  }

  it('ticks six times in an hour, at every tenth minute', async () => {
    startTicking(EVERY_TEN_MINUTES);
    await vi.advanceTimersByTimeAsync(HOUR);
    const minutes = ['08:10', '08:20', '08:30', '08:40', '08:50', '09:00'];
    expect(ticks).toEqual(minutes.map((minute) => `cron ${minute}:00`));
  });

  it("reads an expression in Shanghai's time, wherever the machine is", async () => {
    startTicking('30 9 * * *');
    await vi.advanceTimersByTimeAsync(24 * HOUR);
    expect(ticks).toEqual(['cron 09:30:00']);
  });

  it('tells the moments that come', () => {
    const moments = startTicking(EVERY_TEN_MINUTES).nextTicks(3);
    expect(moments).toEqual([10, 20, 30].map((minutes) => MORNING + minutes * MINUTE));
  });

  it('makes up a tick at once that was missed while the process was blocked', async () => {
    startTicking(EVERY_TEN_MINUTES);
    await vi.advanceTimersByTimeAsync(8.5 * MINUTE);
    expect(ticks).toEqual([]);
    await block(3 * MINUTE);
    expect(ticks).toEqual(['made_up 08:13:00']);
    await vi.advanceTimersByTimeAsync(10 * MINUTE);
    expect(ticks).toEqual(['made_up 08:13:00', 'cron 08:20:00']);
  });

  it('asks again for a tick that fell into a run', async () => {
    let end = () => {};
    startTicking(EVERY_TEN_MINUTES, () => new Promise((resolve) => (end = resolve)));
    await vi.advanceTimersByTimeAsync(20 * MINUTE);
    expect(ticks).toEqual(['cron 08:10:00', 'made_up 08:20:00']);
    end();
  });

  it('is silent once it is stopped', async () => {
    startTicking(EVERY_TEN_MINUTES).stop();
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(ticks).toEqual([]);
  });
});
