import { CALL_DEADLINE_MS } from '../../src/wechat/client.ts';
import type { TestPlatform } from './platform.ts';

/** How tests wait: for a signal, in real time, and in the time of a platform. */

/** For what happens in real time: a process starts, a connection notices, a server is promoted. */
export const POLLING = { timeout: 20_000, interval: 20 };

/** Something that happens once: `given` resolves when somebody calls `give`. */
export function createSignal(): { given: Promise<void>; give: () => void } {
  let give = (): void => undefined;
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give: () => give() };
}

/**
 * Lets time pass while calls to WeChat may hang: goes on as soon as all that is left to wait for is
 * a call that only time can end.
 */
export async function passUnanswered(platform: TestPlatform, ms: number): Promise<void> {
  const { clock, simulator } = platform;
  const hangs = () =>
    simulator.ledger.calls.some(
      ({ fault, at }) =>
        (fault === 'hang' || fault === 'drip') && at + CALL_DEADLINE_MS > clock.now(),
    );
  const settle = async () => {
    const work = { settled: false };
    void platform.settle().then(() => (work.settled = true));
    while (!work.settled && !hangs()) await new Promise(setImmediate);
  };
  await clock.advance(ms, settle);
  await settle();
}

/** Simulated seconds, one by one and `limit` at most, until `check` no longer throws. */
export async function secondsUntil(
  platform: TestPlatform,
  limit: number,
  check: () => Promise<void>,
): Promise<number> {
  for (let second = 0; ; second += 1) {
    try {
      await check();
      return second;
    } catch (error) {
      if (second === limit) throw error;
    }
    await platform.pass(1_000);
  }
}

/**
 * Milliseconds of real time, and questions to Redis one after the other: within both of them comes an answer
 * that no time of the platform has to pass for. On a busy machine Redis may need more than the first.
 */
const PATIENCE_MS = 50;
const PINGS = 5;

/** Lets the platform's time pass until the answer is there, and no longer. */
export async function passUntilAnswered<T>(
  { clock, settle, redis }: Pick<TestPlatform, 'clock' | 'settle' | 'redis'>,
  answer: Promise<T>,
): Promise<T> {
  let over = false;
  const done = () => (over = true);
  answer.then(done, done);
  // A function, because it changes while time passes.
  const isOver = () => over;
  for (;;) {
    await settle();
    const patience = performance.now() + PATIENCE_MS;
    for (let ping = 0; ping < PINGS && !isOver(); ping += 1) await redis.ping();
    while (!isOver() && performance.now() < patience) await new Promise(setImmediate);
    if (isOver()) return answer;
    await clock.advance(500, settle);
  }
}
