import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer } from '../../src/sandbox/redis/launch.ts';
import {
  jsonRoute,
  messagePush,
  messageXml,
  rawRoute,
  sendMessage,
  stateOf,
  storeAndDie,
} from '../kit/delivering.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
  type TestPlatformOptions,
} from '../kit/platform.ts';
import { MESSAGES, newestEvents, post } from '../kit/public-listener.ts';
import { logged } from '../kit/observe.ts';
import { becomes } from '../kit/redis-trouble.ts';
import { startTarget, status, type Target } from '../kit/targets.ts';
import { POLLING } from '../kit/waiting.ts';
import {
  claimDeliveries,
  moveDeliveries,
  settleDelivery,
} from '../../src/store/deliveries/queue.ts';

/** Deliveries when something breaks: a replica, a key, the room there is; and what people do about it. */

const { appid } = COMPONENT;
const HELD = 'authorizations that are held back could not be looked at';
let target: Target;
let other: Target;
let platform: TestPlatform;
beforeEach(async () => {
  [target, other] = await Promise.all([startTarget(), startTarget()]);
});
afterEach(async () => {
  await platform.close();
  await Promise.all([target.close(), other.close()]);
});

async function start(options: TestPlatformOptions = {}): Promise<void> {
  const routes = [jsonRoute(target), rawRoute(other)];
  platform = await createTestPlatform({ routes, ticket: true, ...options });
}

const send = (id: number) => sendMessage(platform, { MsgId: id });
const idsAt = ({ requests }: Target) => requests.map(({ headers }) => headers['webhook-id']);
const api = async (path: string, body?: object) => {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const answer = await platform.internal(`/v1/components/${appid}/${path}`, init);
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};

describe('row 172: a replica that dies', () => {
  it('between the answer to WeChat and the delivery: another one delivers within seconds', async () => {
    await start();
    await storeAndDie(platform, 'one');
    await platform.pass(10_000);
    expect(idsAt(target)).toEqual(['one']);
  });

  it('during a delivery: it is made again when the lease is over, and the late end changes nothing', async () => {
    await start();
    await storeAndDie(platform, 'one');
    const targets = [{ name: 'json', free: 5, concurrency: 5, perSecond: 100 }];
    const { claimed } = await claimDeliveries(platform.store, appid, targets);
    expect(claimed).toEqual([{ target: 'json', id: 'one', attempt: 1 }]);
    await platform.pass(25_000);
    expect(target.requests).toEqual([]);
    target.answer(status(500));
    await platform.pass(11_000);
    expect(idsAt(target)).toEqual(['one']);
    const late = {
      asked: true,
      outcome: 'delivered',
      told: '{}',
      againInMs: 0,
      tookMs: 0,
    } as const;
    const first = { target: 'json', id: 'one', attempt: 1 };
    expect(await settleDelivery(platform.store, appid, { ...first, ...late })).toBe(false);
    expect(await stateOf(platform, 'json')).toMatchObject({ again: 1, delivered: 0 });
  });

  it('that stops ends what is under way, and leaves the rest to others', async () => {
    await start();
    let release = () => {};
    target.answer((_request, response) => (release = () => response.end()));
    const push = messagePush(platform, messageXml(platform));
    const posted = post(platform, push, MESSAGES);
    await vi.waitFor(() => expect(target.requests).toHaveLength(1), POLLING);
    const stopped = platform.app.stop();
    release();
    await Promise.all([posted, stopped]);
    expect(await stateOf(platform, 'json')).toMatchObject({ delivered: 1, underWay: 0 });
  });
});

it('Redis is away: the log does not say at each look that deliveries cannot be looked at', async () => {
  const server = await startRedisServer({ appendOnly: true });
  try {
    await start({ redisUrl: server.url });
    platform.redis.on('error', () => undefined);
    await server.kill('SIGKILL');
    await becomes(platform, 503);
    await platform.pass(2 * MINUTE);
    const levels = logged(platform, HELD).map(({ level }) => level);
    expect(new Set(levels)).toEqual(new Set(['debug']));
  } finally {
    await server.stop();
  }
});

describe('row 174: a key that somebody has spoiled', () => {
  const KEYS = ['fresh', 'again', 'leased', 'replying', 'dead', 'attempts', 'target'] as const;

  it.each(KEYS)('%s: is made anew, and the other route notices nothing', async (name) => {
    await start();
    const key = platform.keys.deliveries(appid, 'json')[name];
    await platform.redis.set(key, 'spoiled');
    target.answer(status(500));
    await send(1);
    target.answer(status(200));
    await platform.pass(2 * MINUTE);
    await send(2);
    await platform.pass(MINUTE);
    expect(new Set(idsAt(target)).size).toBe(2);
    expect(other.requests).toHaveLength(2);
    expect(await stateOf(platform, 'json')).toMatchObject({ fresh: 0, again: 0, underWay: 0 });
  });

  it('held pushes, and what is kept of one: others are delivered, and the log says it', async () => {
    await start();
    await platform.redis.set(platform.keys.heldPushes(appid), 'spoiled');
    await platform.redis.set(platform.keys.push(appid, 'odd'), 'spoiled');
    const { fresh } = platform.keys.deliveries(appid, 'json');
    await platform.redis.zadd(fresh, 1, 'odd');
    await send(1);
    await platform.pass(MINUTE);
    expect([target.requests.length, other.requests.length]).toEqual([1, 1]);
    expect(logged(platform, HELD)).toContainEqual(expect.objectContaining({ level: 'warn' }));
  });
});

describe('row 173: no room, and no end', () => {
  it('the longest queue loses its oldest; who is well loses nothing', async () => {
    await start({ env: { DELIVERY_MEGABYTES: '1' } });
    target.answer(status(503));
    const Content = 'x'.repeat(15_000);
    for (let id = 1; id <= 90; id += 1) await sendMessage(platform, { MsgId: id, Content });
    await platform.pass(MINUTE);
    expect(other.requests).toHaveLength(90);
    const { bytes, dropped, fresh, again } = await stateOf(platform, 'json');
    expect(bytes).toBeLessThanOrEqual(1024 * 1024);
    expect(dropped).toBeGreaterThan(10);
    expect(fresh + again + dropped).toBe(90);
    const text = JSON.stringify(await (await platform.internal('/status')).json());
    expect(text).toMatch(/deliveries_dropped/);
    expect(text).toMatch(/target_failing/);
  });

  it('what waits for three days is given up, and forgotten a week later, without a trace of it in the room', async () => {
    await start();
    target.answer(status(500));
    await send(1);
    // So that its attempts are not what ends it.
    await platform.redis.hset(platform.keys.deliveries(appid, 'json').target, {
      open_until: String(platform.clock.now() + HOUR),
    });
    const fourDaysAgo = platform.clock.now() - 96 * HOUR;
    const { again } = platform.keys.deliveries(appid, 'json');
    await platform.redis.zadd(again, fourDaysAgo, await newestId());
    await platform.pass(MINUTE);
    expect(await stateOf(platform, 'json')).toMatchObject({ dead: 1, again: 0 });
    const dead = platform.keys.deliveries(appid, 'json').dead;
    await platform.redis.zadd(dead, 1, await newestId());
    await platform.pass(MINUTE);
    expect(await stateOf(platform, 'json')).toMatchObject({ dead: 0, dropped: 1, bytes: 0 });
  });
});

async function newestId(): Promise<string> {
  const [entry] = await newestEvents(platform);
  return entry?.id ?? '';
}

describe('what people see and do', () => {
  it('one push: when it came, where it went, each attempt; never what was in it', async () => {
    await start();
    target.answer(status(500));
    await sendMessage(platform, { Content: 'canary' });
    target.answer(status(200));
    await platform.pass(MINUTE);
    const id = await newestId();
    const { body } = await api(`pushes/${id}`);
    expect(body).toMatchObject({
      id,
      component_appid: appid,
      url: 'message',
      msg_type: 'text',
      held: false,
      routes: ['json', 'raw'],
      deliveries_open: 0,
    });
    expect(body.attempts).toMatchObject([
      { route: 'json', attempt: 1, status: '500' },
      { route: 'json', attempt: 2, status: '200' },
      { route: 'raw', attempt: 1, status: '200' },
    ]);
    expect(JSON.stringify(body)).not.toContain('canary');
    expect((await api(`pushes/${'0'.repeat(36)}`)).status).toBe(404);
  });

  it('a push that no route takes is told from the event stream', async () => {
    await start({ routes: [] });
    await send(1);
    expect((await api(`pushes/${await newestId()}`)).body).toMatchObject({ url: null, routes: [] });
  });

  it('dead letters: some, since a moment, all are replayed; others thrown away', async () => {
    await start();
    target.answer(status(500));
    const ids: string[] = [];
    for (let id = 1; id <= 4; id += 1) {
      await send(id);
      ids.push(await newestId());
    }
    for (const where of ['fresh', 'again'] as const) {
      await moveDeliveries(platform.store, appid, 'json', 'give_up', where, ids);
    }
    expect((await api('deliveries/json')).body).toMatchObject({ dead_letters: 4, route: 'json' });
    target.answer(status(200));
    const before = target.requests.length;
    await platform.internal(`/v1/components/${appid}/deliveries/json/resume`, { method: 'POST' });
    expect((await api('deliveries/json/replay', { ids: [ids[0]] })).body).toEqual({ moved: 1 });
    const later = new Date(platform.clock.now() + HOUR).toISOString();
    expect((await api('deliveries/json/replay', { since: later })).body).toEqual({ moved: 0 });
    expect((await api('deliveries/json/discard', { ids: [ids[1]] })).body).toEqual({ moved: 1 });
    expect((await api('deliveries/json/replay', { all: true })).body).toEqual({ moved: 2 });
    await platform.pass(MINUTE);
    expect(new Set(idsAt(target).slice(before))).toEqual(new Set([ids[0], ids[2], ids[3]]));
    expect(await stateOf(platform, 'json')).toMatchObject({ dead: 0, bytes: 0, delivered: 3 });
    for (const body of [{}, { ids: [] }, { all: true, ids: [ids[0]] }, { ids: ['../x'] }]) {
      expect((await api('deliveries/json/replay', body)).status).toBe(400);
    }
    expect((await api('deliveries/nobody')).status).toBe(404);
  });
});
