import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readReply } from '../../src/store/deliveries/kept-push.ts';
import {
  claimDeliveries,
  moveDeliveries,
  settleDelivery,
  type ClaimedTarget,
  type SettledAttempt,
} from '../../src/store/deliveries/queue.ts';
import { keepDeliveries } from '../../src/deliveries/upkeep.ts';
import { routeSchema } from '../../src/config/routes.ts';
import { jsonRoute, stateOf, storeAndDie } from '../kit/delivering.ts';
import { collectLog } from '../kit/logs.ts';
import { COMPONENT, createTestPlatform, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { startTarget, type Target } from '../kit/targets.ts';

/** The queues of deliveries by themselves: clocks that go back, answers that are lost, keys that are spoiled. */

const { appid } = COMPONENT;
const DAY = 24 * HOUR;
let target: Target;
let platform: TestPlatform;
beforeEach(async () => {
  target = await startTarget();
  platform = await createTestPlatform({ ticket: true });
});
afterEach(async () => {
  await platform.close();
  await target.close();
});

const queues = () => platform.keys.deliveries(appid, 'json');
const pushKey = (id: string) => platform.keys.push(appid, id);
const claim = async (more: Partial<ClaimedTarget> = {}) => {
  const one = { name: 'json', free: 5, concurrency: 5, perSecond: 100, ...more };
  const { claimed } = await claimDeliveries(platform.store, appid, [one]);
  return claimed.map(({ id, attempt }) => `${id} ${attempt}`);
};
const settle = (more: Partial<SettledAttempt>) =>
  settleDelivery(platform.store, appid, {
    target: 'json',
    id: 'one',
    attempt: 1,
    asked: true,
    tookMs: 0,
    told: '{}',
    againInMs: 0,
    outcome: 'delivered',
    ...more,
  });

describe('row 175: the clock of Redis is set back', () => {
  it('what is fresh is delivered all the same', async () => {
    await storeAndDie(platform, 'one');
    platform.clock.jumpStoreClock(-HOUR);
    expect(await claim()).toEqual(['one 1']);
  });

  it.each(['leased', 'replying'] as const)(
    'whoever died with one %s holds it for a minute and a half at most',
    async (name) => {
      await storeAndDie(platform, 'one');
      await platform.redis.zrem(queues().fresh, 'one');
      await platform.redis.zadd(queues()[name], platform.clock.now() + 30_000, 'one');
      platform.clock.jumpStoreClock(-HOUR);
      expect(await claim()).toEqual([]);
      platform.clock.jumpStoreClock(31_000);
      expect(await claim()).toEqual(['one 1']);
    },
  );

  it('what is to be tried further ahead than that can be is tried now', async () => {
    await storeAndDie(platform, 'one');
    await claim();
    await settle({ outcome: 'again', againInMs: 5_000 });
    platform.clock.jumpStoreClock(-DAY);
    expect(await claim()).toEqual(['one 2']);
  });
});

describe('the end of an attempt', () => {
  it('that is told twice, for the answer was lost, counts once and is ours both times', async () => {
    await storeAndDie(platform, 'one');
    await storeAndDie(platform, 'two');
    await claim();
    expect([await settle({}), await settle({})]).toEqual([true, true]);
    const again = { id: 'two', outcome: 'again' } as const;
    expect([await settle(again), await settle(again)]).toEqual([true, true]);
    expect(await stateOf(platform, 'json')).toMatchObject({ delivered: 1, failed: 1 });
  });

  it.each(['again', 'dead'] as const)(
    'row 174: is kept (%s) when the queue of what is under way was spoiled meanwhile',
    async (outcome) => {
      await storeAndDie(platform, 'one');
      await claim();
      await platform.redis.set(queues().leased, 'spoiled');
      expect(await settle({ outcome })).toBe(true);
      expect(await stateOf(platform, 'json')).toMatchObject({ [outcome]: 1, underWay: 0 });
    },
  );

  it('is not ours once a person has moved it, or it is a dead letter', async () => {
    await storeAndDie(platform, 'one');
    await claim();
    await settle({ outcome: 'dead', told: '{"at":1}' });
    expect(await settle({ outcome: 'again', told: '{"at":2}' })).toBe(false);
    await moveDeliveries(platform.store, appid, 'json', 'replay', 'dead', ['one']);
    expect(await settle({ outcome: 'again', told: '{"at":2}' })).toBe(false);
    expect(await stateOf(platform, 'json')).toMatchObject({ fresh: 1, again: 0, dead: 0 });
  });
});

describe('what is kept', () => {
  it.each(['its last attempt failed', 'it was given up'])(
    'of a push lives as long as its dead letter: %s',
    async (why) => {
      await storeAndDie(platform, 'one');
      await platform.redis.pexpire(pushKey('one'), HOUR);
      if (why === 'it was given up') {
        await moveDeliveries(platform.store, appid, 'json', 'give_up', 'fresh', ['one']);
      } else {
        await claim();
        await settle({ outcome: 'dead' });
      }
      expect(await platform.redis.pttl(pushKey('one'))).toBeGreaterThan(13 * DAY);
    },
  );

  it('of a reply is there for a minute, and not in what people look up', async () => {
    await storeAndDie(platform, 'one');
    await claim();
    await settle({ reply: '{"as":"none"}' });
    expect(await readReply(platform.store, appid, 'one')).toBe('{"as":"none"}');
    expect(await platform.redis.pttl(platform.keys.reply(appid, 'one'))).toBeLessThanOrEqual(
      MINUTE,
    );
    expect(await platform.redis.hexists(pushKey('one'), 'reply')).toBe(0);
    expect(await platform.redis.memory('USAGE', pushKey('one'))).toBeLessThan(1_100);
  });
});

it('a target gets what it may have in a second, and a quarter of that after a pause', async () => {
  for (let at = 0; at < 300; at += 1) await storeAndDie(platform, `push-${at}`);
  const all = { free: 300, concurrency: 300 };
  expect(await claim(all)).toHaveLength(25);
  let begun = 0;
  for (let at = 0; at < 10; at += 1) {
    platform.clock.jumpStoreClock(100);
    begun += (await claim(all)).length;
  }
  expect(begun).toBe(100);
  platform.clock.jumpStoreClock(MINUTE);
  expect(await claim(all)).toHaveLength(25);
});

describe('row 174: maintenance', () => {
  const keep = () =>
    keepDeliveries({
      store: platform.store,
      log: collectLog().log,
      components: [appid],
      routes: [routeSchema.parse(jsonRoute(target))],
      mostBytes: 2_500,
    });

  it('makes room while the held pushes are spoiled', async () => {
    await platform.redis.set(platform.keys.heldPushes(appid), 'spoiled');
    for (const id of ['one', 'two', 'three']) await storeAndDie(platform, id);
    await keep();
    expect(await stateOf(platform, 'json')).toMatchObject({ fresh: 2, dropped: 1 });
  });
});
