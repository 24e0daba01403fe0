import dns from 'node:dns';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { jsonRoute, rawRoute, sendMessage, stateOf } from '../kit/delivering.ts';
import { COMPONENT, createTestPlatform, HOUR, type TestPlatform } from '../kit/platform.ts';
import { startTarget, status, type Answering, type Target } from '../kit/targets.ts';
import { POLLING } from '../kit/waiting.ts';
import { ATTEMPT_MS } from '../../src/deliveries/dispatcher.ts';
import { readKeptPush } from '../../src/store/deliveries/kept-push.ts';
import { resumeTarget } from '../../src/store/deliveries/target-state.ts';

/**
 * Targets that misbehave, each beside one that is well: when they are asked, how often, what becomes of it,
 * and that the other one notices nothing. docs/delivering.md has the same table.
 */

let target: Target;
let well: Target;
let platform: TestPlatform;
beforeEach(async () => {
  held = [];
  [target, well] = await Promise.all([startTarget(), startTarget()]);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await platform.close();
  await Promise.all([target.close(), well.close()]);
});

/** Every pause is as long as it is in the documents: a fifth more or less by chance in life. */
const NO_CHANCE = () => 0.5;

let begun = 0;
/** Seconds after the start at which the one that is well was asked. */
let wellAsked: number[] = [];
const seconds = () => Math.round((platform.clock.now() - begun) / 1000);

async function start(url = target.url, env: Record<string, string> = {}): Promise<void> {
  const routes = [jsonRoute({ ...target, url }), rawRoute(well)];
  platform = await createTestPlatform({ routes, ticket: true, random: NO_CHANCE, env });
  begun = platform.clock.now();
  wellAsked = noteAt(well, status(200));
}

/** From now on it answers so. @returns seconds after the start at which it is asked */
function noteAt(one: Target, how: Answering): number[] {
  const moments: number[] = [];
  one.answer((request, response, incoming) => {
    moments.push(seconds());
    return how(request, response, incoming);
  });
  return moments;
}

/** Moments until which a target keeps somebody waiting, so that only the clock can bring something about. */
let held: number[] = [];
const keepWaiting = (ms: number) => held.push(platform.clock.now() + Math.min(ms, ATTEMPT_MS));

/** Time passes, also while a target keeps us waiting. */
async function pass(ms: number): Promise<void> {
  const settle = async () => {
    const work = { done: false };
    void platform.settle().then(() => (work.done = true));
    const isHeld = () => held.some((until) => platform.clock.now() < until);
    while (!work.done && !isHeld()) await new Promise(setImmediate);
  };
  // What was begun just before must not find its time over.
  await settle();
  await platform.clock.advance(ms, settle);
}

/** Seconds after the push at which an attempt has begun, whether or not it came to the target. */
async function attemptsAt(): Promise<number[]> {
  const id = well.requests[0]?.headers['webhook-id'] ?? '';
  const kept = await readKeptPush(platform.store, COMPONENT.appid, id);
  const told = kept?.attempts.filter((one) => one.target === 'json') ?? [];
  return told.map((one) => {
    const { at, ms } = JSON.parse(one.told) as { at: number; ms: number };
    return Math.round((at - ms - begun) / 1000);
  });
}

const PAUSES = [0, 5, 35, 155, 755, 2555];
const slow =
  (ms: number): Answering =>
  (_request, response) => {
    keepWaiting(ms);
    platform.clock.setTimer(ms, () => response.end());
  };
const hanging: Answering = (_request, response) => {
  keepWaiting(ATTEMPT_MS);
  response.writeHead(200).write('a');
};
const large: Answering = (_request, response) => response.end(Buffer.alloc(10 * 1024 * 1024));
const gone = { state: { stoppedAt: expect.any(Number) as number, again: 1, delivered: 0 } };
const fails = { state: { delivered: 0, again: 1 } };
const takes = { state: { delivered: 1, again: 0, failures: 0 } };

describe('row 169: within an hour, a target', () => {
  it.each<[string, Answering, number[], { state: object }]>([
    ['that answers after eight seconds takes it at once', slow(8_000), [0], takes],
    ['that takes longer than ten', slow(12_000), [0, 15, 55, 185, 795, 2605], fails],
    ['that hangs behind the headers', hanging, [0, 15, 55, 185, 795, 2605], fails],
    ['that resets the connection', (_request, response) => response.destroy(), PAUSES, fails],
    ['that says 500', status(500), PAUSES, fails],
    [
      'that says 429 and when to come again',
      status(429, { 'retry-after': '600' }),
      [0, 600, 1200, 1800, 2400],
      fails,
    ],
    ['that says 410', status(410), [0], gone],
    ['that redirects', status(307, { location: 'http://127.0.0.1:9/' }), PAUSES, fails],
    ['that answers with ten megabytes', large, [0], takes],
  ])(
    '%s',
    async (_what, answering, expected, { state }) => {
      await start();
      const asked = noteAt(target, answering);
      const sent = sendMessage(platform);
      await vi.waitFor(() => expect(asked).toEqual([0]), POLLING);
      await pass(HOUR);
      await sent;
      expect(asked).toEqual(expected);
      expect(await stateOf(platform, 'json')).toMatchObject(state);
      expect(wellAsked).toEqual([0]);
    },
    60_000,
  );

  it('that is down for an hour gets it at the next attempt, and the other has it at once', async () => {
    await start();
    await target.refuse();
    await sendMessage(platform);
    await platform.pass(HOUR);
    expect(await attemptsAt()).toEqual(PAUSES);
    await target.listen();
    await platform.pass(HOUR);
    expect(await attemptsAt()).toEqual([...PAUSES, 6155]);
    expect(target.requests).toHaveLength(1);
    expect(await stateOf(platform, 'json')).toMatchObject(takes.state);
    expect(wellAsked).toEqual([0]);
  }, 60_000);

  it('that was stopped gets what has waited when a person resumes it', async () => {
    await start();
    target.answer(status(410));
    await sendMessage(platform);
    await platform.pass(HOUR);
    const asked = noteAt(target, status(200));
    await resumeTarget(platform.store, COMPONENT.appid, 'json');
    await platform.pass(10_000);
    expect(asked).toEqual([expect.closeTo(3_602, -1)]);
    expect(await stateOf(platform, 'json')).toMatchObject(takes.state);
  });
});

describe('row 170: a name', () => {
  const named = () => `http://localhost:${new URL(target.url).port}`;
  const resolve = (...addresses: string[]) => {
    const found = addresses.map((address) => ({ address, family: 4 }));
    return vi
      .spyOn(dns.promises, 'lookup')
      .mockImplementation((() => Promise.resolve(found)) as never);
  };

  it('that leads to a private address is never called', async () => {
    await start(named(), { DELIVERY_NETWORKS: '10.0.0.0/8' });
    resolve('127.0.0.1');
    await sendMessage(platform);
    expect(target.requests).toEqual([]);
    expect(await answered()).toBe('forbidden_address');
  });

  it('that leads elsewhere later is checked anew: the address that is called is the one that was checked', async () => {
    await target.close();
    target = await startTarget({ host: '127.0.0.2' });
    const { port } = new URL(target.url);
    const inside = await startTarget({ port: Number(port) });
    try {
      await start(named(), { DELIVERY_NETWORKS: '127.0.0.2/32' });
      target.answer((_request, response) => response.setHeader('connection', 'close').end());
      const lookup = resolve('127.0.0.2');
      await sendMessage(platform, { MsgId: 1 });
      expect(target.requests).toHaveLength(1);
      expect(lookup).toHaveBeenCalledTimes(1);
      lookup.mockRestore();
      resolve('127.0.0.1');
      await sendMessage(platform, { MsgId: 2 });
      expect(await answered()).toBe('forbidden_address');
      expect(inside.requests).toEqual([]);
    } finally {
      await inside.close();
    }
  });

  it('of which one address is private is not called at all', async () => {
    await target.close();
    target = await startTarget({ host: '127.0.0.2' });
    await start(named(), { DELIVERY_NETWORKS: '127.0.0.2/32' });
    resolve('127.0.0.2', '127.0.0.1');
    await sendMessage(platform);
    expect(target.requests).toEqual([]);
    expect(await answered()).toBe('forbidden_address');
  });
});

async function answered(): Promise<unknown> {
  const { answered: last = '{}' } = await stateOf(platform, 'json');
  return (JSON.parse(last) as { status?: unknown }).status;
}
