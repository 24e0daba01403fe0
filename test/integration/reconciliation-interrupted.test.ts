import { afterEach, describe, expect, it } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import {
  callsOf,
  createReader,
  LIST_API,
  NO_FAULT,
  NO_PROFILES,
  progressOf,
} from '../kit/reconciling.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { passUnanswered } from '../kit/waiting.ts';

/** Two pages. */
const MANY = 501;

let platform: TestPlatform;
let server: RedisServer | undefined;
let appids: string[];

async function begin(redisUrl?: string): Promise<void> {
  platform = await createTestPlatform({
    ticket: true,
    ...(redisUrl !== undefined && { redisUrl }),
  });
  platform.redis.on('error', () => undefined);
  platform.simulator.addFault(NO_PROFILES);
  appids = platform.simulator.populate(COMPONENT.appid, MANY);
}
afterEach(async () => {
  await platform.close();
  await server?.stop();
  server = undefined;
});

/** Redis itself counts its time, which is not the one that the test moves. */
async function leaseRunsOut(): Promise<void> {
  const lease = platform.keys.lease('reconcile', COMPONENT.appid);
  expect(await platform.redis.pttl(lease)).toBeGreaterThan(20_000);
  await platform.redis.del(lease);
}

async function restored(): Promise<number> {
  const ids = appids.map((appid) => authorizerToken(COMPONENT.appid, appid));
  const records = await Promise.all(ids.map((id) => readRecord(platform.store, id)));
  return records.filter((one) => one.refreshToken !== undefined).length;
}

describe('row 87: the replica that reads the list dies in the middle', () => {
  it('and another one goes on at the page where it stopped', async () => {
    await begin();
    const asked: unknown[] = [];
    // Its second page never comes, and it will never do anything again: killed, as others see it.
    const doomed = createReader(platform, (api) => async (request) => {
      if (request.name === LIST_API) asked.push(request.body?.offset);
      return asked.length === 2 ? new Promise(() => undefined) : api(request);
    });
    void doomed.run(COMPONENT.appid);
    while (asked.length < 2) await new Promise(setImmediate);
    expect(asked).toEqual([0, 500]);
    expect(await progressOf(platform)).toMatchObject({
      state: 'running',
      offset: 500,
      total: MANY,
    });
    expect(await restored()).toBe(500);

    await passUnanswered(platform, 16_000);
    // The lease is still the dead one's.
    expect(callsOf(platform, LIST_API)).toBe(1);
    await leaseRunsOut();
    await passUnanswered(platform, 16_000);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: MANY, calls: 2 });
    expect(callsOf(platform, LIST_API)).toBe(2);
    expect(await restored()).toBe(MANY);
  });

  it('and when it comes back to life, it leaves the work to the other one', async () => {
    await begin();
    let wake = (): void => undefined;
    const asleep = new Promise<void>((resolve) => (wake = resolve));
    let calls = 0;
    const sleeper = createReader(platform, (api) => async (request) => {
      calls += 1;
      if (calls === 2) await asleep;
      return api(request);
    });
    const running = sleeper.run(COMPONENT.appid);
    while (calls < 2) await new Promise(setImmediate);
    await leaseRunsOut();
    await passUnanswered(platform, 16_000);
    const done = await progressOf(platform);
    expect(done).toMatchObject({ state: 'done', total: MANY, restored: MANY });
    wake();
    await running;
    expect(await progressOf(platform)).toEqual(done);
  });
});

describe('row 87: a page that hangs', () => {
  it('is given up and asked for again', async () => {
    await begin();
    platform.simulator.addFault({ api: LIST_API, fault: NO_FAULT });
    platform.simulator.addFault({ api: LIST_API, fault: { type: 'hang' } });
    await passUnanswered(platform, MINUTE);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: MANY, calls: 3 });
    expect(await restored()).toBe(MANY);
  });
});

describe('two replicas', () => {
  it('read the list once', async () => {
    await begin();
    await platform.addReplica();
    await passUnanswered(platform, MINUTE);
    expect(callsOf(platform, LIST_API)).toBe(2);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: MANY });
  });
});

describe('Redis restarts', () => {
  it('and the list is read again, from the start', async () => {
    server = await startRedisServer();
    await begin(server.url);
    await passUnanswered(platform, 16_000);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', cause: 'first' });
    const calls = callsOf(platform, LIST_API);
    await server.kill();
    await becomes(platform, 503);
    await server.start();
    await becomes(platform, 200);
    await platform.redis.ping();
    await passUnanswered(platform, MINUTE);
    expect(callsOf(platform, LIST_API)).toBe(calls + 2);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', total: MANY });
    expect(await restored()).toBe(MANY);
  });
});
