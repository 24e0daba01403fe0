import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import type { RefreshDueResult } from '../../src/credentials/refresh-due.ts';
import { startNodeCron, type StartCron } from '../../src/schedule/cron.ts';
import type { Job, Trigger } from '../../src/schedule/jobs.ts';
import { createScheduler, type Scheduler } from '../../src/schedule/scheduler.ts';
import { readJobRuns } from '../../src/store/operations/job-runs.ts';
import { createManualClock } from '../kit/clock.ts';
import { collectLog, type LogLine } from '../kit/logs.ts';
import { HOUR, MINUTE } from '../kit/platform.ts';
import { createTestStore, type TestStore } from '../kit/store.ts';

/** 08:00 in Shanghai. */
const MORNING = Date.UTC(2026, 10, 21, 0, 0, 0);
const EVERY_TEN_MINUTES = '*/10 * * * *';

let store: TestStore;
let logs: LogLine[];
beforeEach(async () => {
  store = createTestStore();
  await store.redis.ping();
  logs = [];
});
afterEach(async () => {
  vi.useRealTimers();
  await store.redis.del(store.keys.jobs);
  store.close();
});

/** A job that notes what started it and ends when the test says so. */
function createHeldJob(name: string) {
  const triggers: Trigger[] = [];
  const waiting: { end: (done: RefreshDueResult) => void; fail: (error: Error) => void }[] = [];
  const job: Job = {
    name,
    expression: EVERY_TEN_MINUTES,
    run: (trigger) => {
      triggers.push(trigger);
      return new Promise((end, fail) => waiting.push({ end, fail }));
    },
  };
  const next = () => vi.waitFor(() => waiting.shift() ?? Promise.reject(new Error('not running')));
  return {
    job,
    triggers,
    running: () => waiting.length,
    end: async (summary = 'done', ok = true) => (await next()).end({ ok, summary }),
    fail: async (error: Error) => (await next()).fail(error),
  };
}

/** Ticks when told to, and goes on asking after it was stopped. */
function createHandCron() {
  const ticks = new Map<string, (trigger: 'cron' | 'made_up') => Promise<void>>();
  const stopped: string[] = [];
  const startCron: StartCron = ({ name, onTick }) => {
    ticks.set(name, onTick);
    return { nextTicks: () => [], stop: () => void stopped.push(name) };
  };
  return { startCron, stopped, tick: async (name: string) => ticks.get(name)?.('cron') };
}

describe('row 68: runs of a job', () => {
  let first: ReturnType<typeof createHeldJob>;
  let second: ReturnType<typeof createHeldJob>;
  let cron: ReturnType<typeof createHandCron>;
  let scheduler: Scheduler;
  const clock = createManualClock();

  beforeEach(() => {
    [first, second] = [createHeldJob('first'), createHeldJob('second')];
    cron = createHandCron();
    const { startCron } = cron;
    const jobs = [first.job, second.job];
    const { log } = collectLog({ lines: logs });
    scheduler = createScheduler({ jobs, store, clock, log, startCron, replica: 'here' });
  });

  /** Past the runs that every start begins with. */
  async function start(): Promise<void> {
    const started = scheduler.start();
    await first.end();
    await second.end();
    await started;
    expect(first.triggers.splice(0)).toEqual(['start']);
    expect(second.triggers.splice(0)).toEqual(['start']);
  }

  it('begin with one of every job, in the order of the table', async () => {
    const started = scheduler.start();
    expect([first.triggers, second.triggers]).toEqual([['start'], []]);
    await first.end('looked at 1');
    await second.end('looked at 2');
    await started;
    expect(await readJobRuns(store)).toEqual({
      first: expect.objectContaining({
        trigger: 'start',
        ok: true,
        summary: 'looked at 1',
      }) as unknown,
      second: {
        startedAt: clock.now(),
        tookMs: 0,
        trigger: 'start',
        replica: 'here',
        ok: true,
        summary: 'looked at 2',
      },
    });
  });

  it('fail at the start without keeping the others from starting', async () => {
    const started = scheduler.start();
    await first.fail(new Error('broken'));
    await second.end();
    await started;
    expect(await readJobRuns(store)).toMatchObject({ first: { ok: false }, second: { ok: true } });
  });

  it('that throw are noted as failed, and the next tick runs all the same', async () => {
    await start();
    const failing = cron.tick('first');
    await first.fail(new Error('broken'));
    await failing;
    expect((await readJobRuns(store)).first).toMatchObject({ ok: false, trigger: 'cron' });
    const errors = logs.filter((line) => line.level === 'error');
    expect(errors).toMatchObject([{ job: 'first', error: { message: 'broken' } }]);

    const healed = cron.tick('first');
    await first.end('well again');
    await healed;
    expect((await readJobRuns(store)).first).toMatchObject({ ok: true, summary: 'well again' });
    expect(first.triggers).toEqual(['cron', 'cron']);
  });

  it('that leave something undone are noted as failed, with what they did', async () => {
    await start();
    const ticked = cron.tick('first');
    await first.end('1 failed', false);
    await ticked;
    expect((await readJobRuns(store)).first).toMatchObject({ ok: false, summary: '1 failed' });
  });

  it('that throw before they return a promise are no different', async () => {
    await start();
    vi.spyOn(first.job, 'run').mockImplementationOnce(() => {
      throw new Error('at once');
    });
    await cron.tick('first');
    expect((await readJobRuns(store)).first).toMatchObject({ ok: false });
    const healed = cron.tick('first');
    await first.end();
    await healed;
    expect((await readJobRuns(store)).first).toMatchObject({ ok: true });
  });

  it('go on ticking when they cannot be noted', async () => {
    await start();
    await store.redis.set(store.keys.jobs, 'not a hash');
    const ticked = cron.tick('first');
    await first.end();
    await ticked;
    expect(logs.filter((line) => line.level === 'warn')).toMatchObject([{ job: 'first' }]);
    await store.redis.del(store.keys.jobs);
    const again = cron.tick('first');
    await first.end('noted');
    await again;
    expect((await readJobRuns(store)).first).toMatchObject({ summary: 'noted' });
  });

  it('never overlap: the ticks that fall into one are made up once, after it', async () => {
    await start();
    const ticks = [cron.tick('first'), cron.tick('first'), cron.tick('first')];
    expect(first.triggers).toEqual(['cron']);
    await first.end();
    await vi.waitFor(() => expect(first.running()).toBe(1));
    expect(first.triggers).toEqual(['cron', 'made_up']);
    await first.end('made up');
    await Promise.all(ticks);
    await scheduler.idle();
    expect(first.triggers).toEqual(['cron', 'made_up']);
    expect((await readJobRuns(store)).first).toMatchObject({
      trigger: 'made_up',
      summary: 'made up',
    });
  });

  it('of different jobs do not wait for each other', async () => {
    await start();
    const ticks = [cron.tick('first'), cron.tick('second')];
    await second.end();
    await ticks[1];
    expect(first.running()).toBe(1);
    await first.end();
    await ticks[0];
  });

  it('that are under way are waited for when all is stopped, and none follows', async () => {
    await start();
    const ticks = [cron.tick('first'), cron.tick('first')];
    let stopped = false;
    const stopping = scheduler.stop().then(() => (stopped = true));
    expect(cron.stopped).toEqual(['first', 'second']);
    await store.redis.ping();
    expect(stopped).toBe(false);
    await first.end('the last one');
    await stopping;
    await Promise.all(ticks);
    await cron.tick('first');
    await cron.tick('second');
    expect([first.triggers, second.triggers]).toEqual([['cron'], []]);
    expect((await readJobRuns(store)).first).toMatchObject({ summary: 'the last one' });
  });

  it('that were not begun yet when all is stopped are left out', async () => {
    const started = scheduler.start();
    const stopping = scheduler.stop();
    await first.end();
    await Promise.all([started, stopping]);
    expect(second.triggers).toEqual([]);
  });
});

describe('row 67: the scheduler and the real cron together', () => {
  it('make up a missed tick at once and note it', async () => {
    // Redis's sockets go on in real time.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: MORNING + MINUTE });
    const triggers: Trigger[] = [];
    const run = (trigger: Trigger) =>
      Promise.resolve({ ok: true, summary: `run ${triggers.push(trigger)}` });
    const jobs: Job[] = [{ name: 'job', expression: EVERY_TEN_MINUTES, run }];
    const parts = {
      store,
      clock: systemClock,
      log: collectLog({ lines: logs }).log,
      startCron: startNodeCron,
    };
    const scheduler = createScheduler({ ...parts, jobs, replica: 'here' });
    await scheduler.start();
    expect(scheduler.nextTick('job', MORNING + 11 * MINUTE)).toBe(MORNING + 20 * MINUTE);
    await vi.advanceTimersByTimeAsync(8.5 * MINUTE);
    // Blocked for three minutes: time passes and no timer fires before their end.
    vi.setSystemTime(Date.now() + 3 * MINUTE);
    await vi.advanceTimersByTimeAsync(MINUTE);
    await scheduler.idle();
    expect(triggers).toEqual(['start', 'made_up']);
    expect((await readJobRuns(store)).job).toMatchObject({ trigger: 'made_up', summary: 'run 2' });
    await vi.advanceTimersByTimeAsync(7 * MINUTE);
    await scheduler.stop();
    await vi.advanceTimersByTimeAsync(HOUR);
    expect(triggers).toEqual(['start', 'made_up', 'cron']);
  });
});
