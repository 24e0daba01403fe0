import { beforeEach, describe, expect, it } from 'vitest';
import { KeyedWorker } from '../../../src/lib/worker.ts';
import { createManualClock, type ManualClock } from '../../kit/clock.ts';

/** Runs that the test ends one by one. */
let clock: ManualClock;
let begun: string[];
let failures: unknown[];
let open: { resolve: () => void; reject: (error: unknown) => void }[];
let worker: KeyedWorker;

beforeEach(() => {
  clock = createManualClock();
  begun = [];
  failures = [];
  open = [];
  worker = new KeyedWorker(clock, {
    run(key) {
      begun.push(key);
      return new Promise((resolve, reject) => open.push({ resolve, reject }));
    },
    onFailure: (key, error) => failures.push([key, error]),
  });
});

const settle = () => new Promise(setImmediate);

async function end(): Promise<void> {
  open.shift()?.resolve();
  await settle();
}

/** Whether it is over, without waiting for it. */
async function isOver(work: Promise<void>): Promise<boolean> {
  let over = false;
  void work.then(() => (over = true));
  await settle();
  return over;
}

describe('a worker', () => {
  it('runs a key once at a time, and keys beside one another', async () => {
    const first = worker.request('a');
    expect(worker.request('a')).toBe(first);
    void worker.request('b');
    expect(begun).toEqual(['a', 'b']);
    await end();
    expect(await isOver(first)).toBe(true);
    void worker.request('a');
    expect(begun).toEqual(['a', 'b', 'a']);
  });

  it('runs once more for all news that came meanwhile, and whoever brought it waits for that', async () => {
    void worker.request('a', true);
    const news = [worker.request('a', true), worker.request('a', true)];
    expect(worker.hasNews('a')).toBe(true);
    await end();
    expect(begun).toEqual(['a', 'a']);
    expect(worker.hasNews('a')).toBe(false);
    expect(await isOver(Promise.all(news).then(() => undefined))).toBe(false);
    await end();
    expect(await isOver(Promise.all(news).then(() => undefined))).toBe(true);
    expect(begun).toEqual(['a', 'a']);
  });

  it('tells of a run that failed, and does not repeat it, whatever the news', async () => {
    const work = worker.request('a');
    void worker.request('a', true);
    open.shift()?.reject('broken');
    expect(await isOver(work)).toBe(true);
    expect(failures).toEqual([['a', 'broken']]);
    expect(begun).toEqual(['a']);
    void worker.request('a');
    expect(begun).toEqual(['a', 'a']);
  });

  it('runs later, at the moment that was named last', async () => {
    worker.runAt('a', 1_000);
    worker.runAt('a', 3_000);
    await clock.advance(2_999);
    expect(begun).toEqual([]);
    await clock.advance(1);
    expect(begun).toEqual(['a']);
    worker.runAt('a', 1_000);
    worker.runAt('a', undefined);
    await clock.advance(10_000);
    expect(begun).toEqual(['a']);
  });

  it('joins the run into which a planned moment falls, or runs once more if that is news', async () => {
    void worker.request('a');
    worker.runAt('a', 1_000);
    await clock.advance(1_000);
    await end();
    expect(begun).toEqual(['a']);
    void worker.request('a');
    worker.runAt('a', 1_000, true);
    await clock.advance(1_000);
    await end();
    expect(begun).toEqual(['a', 'a', 'a']);
  });

  it.each(Array.from({ length: 12 }, (_, steps) => steps))(
    'loses no news that comes while a run is just ending, %i steps of promises after its begin',
    async (steps) => {
      const quick = new KeyedWorker(clock, {
        run(key) {
          begun.push(key);
          return Promise.resolve();
        },
        onFailure: (key, error) => failures.push([key, error]),
      });
      void quick.request('a');
      for (let step = 0; step < steps; step += 1) await Promise.resolve();
      await quick.request('a', true);
      expect(begun).toEqual(['a', 'a']);
    },
  );

  it('goes on after a run that throws at once', async () => {
    const broken = new KeyedWorker(clock, {
      run() {
        throw new Error('at once');
      },
      onFailure: (key) => failures.push(key),
    });
    await broken.request('a');
    await broken.request('a');
    expect(failures).toEqual(['a', 'a']);
  });

  it('is idle when nothing runs, though something is planned', async () => {
    worker.runAt('a', 1_000);
    expect(await isOver(worker.idle())).toBe(true);
    void worker.request('b');
    const idle = worker.idle();
    expect(await isOver(idle)).toBe(false);
    await end();
    expect(await isOver(idle)).toBe(true);
  });

  it('stops after the run under way, and begins nothing more', async () => {
    const work = worker.request('a');
    void worker.request('a', true);
    worker.runAt('b', 1_000);
    const stopped = worker.stop();
    expect(await isOver(stopped)).toBe(false);
    expect(worker.stopping).toBe(true);
    await end();
    expect(await isOver(stopped)).toBe(true);
    await work;
    await worker.request('a');
    worker.runAt('a', 1);
    await clock.advance(10_000);
    expect(begun).toEqual(['a']);
  });
});
