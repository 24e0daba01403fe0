import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RedisClient } from '../../src/store/redis/client.ts';
import { TOKEN } from '../kit/liveness.ts';
import { logged, read, statusOf } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { newest, newTicketPush, post, readiness, ticketMirror } from '../kit/redis-trouble.ts';
import { secondsUntil } from '../kit/waiting.ts';

const RESTORED = 'Redis had lost the ticket; restored from memory';
const MIRROR_RESTORED = 'the key of the ticket was missing or wrong; written again';
const SPOILED = 'the record of the ticket was edited by hand; it is kept aside and made anew';
/** Seconds. */
const AT_MOST = 60;

let platform: TestPlatform;
let ticket: string;
beforeEach(async () => {
  platform = await createTestPlatform();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
  const push = newTicketPush(platform);
  expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
  ({ ticket } = push);
  await platform.settle();
  await platform.pass(MINUTE);
});
afterEach(() => platform.close());

/** `hash` and `string` are the two keys of the ticket. */
type Harm = (redis: RedisClient, hash: string, string: string) => Promise<unknown>;
interface Damage {
  damage: string;
  message: string;
  level: 'warn' | 'error';
  harm: Harm;
}

function keysOfTicket(): [string, string] {
  const { keys } = platform;
  return [keys.ticketRecord(COMPONENT.appid), keys.ticketMirror(COMPONENT.appid)];
}

/** What is kept of a ticket, and where others read it. */
async function kept() {
  const [hash, string] = keysOfTicket();
  const names = ['ticket', 'create_time', 'received_at', 'count'] as const;
  return [await platform.redis.hmget(hash, ...names), await platform.redis.get(string)];
}

async function expectRestored({ harm, message, level }: Damage): Promise<void> {
  const { redis, simulator } = platform;
  const before = await kept();
  expect(before[1]).toBe(ticket);
  const calls = simulator.ledger.calls.length;
  await harm(redis, ...keysOfTicket());
  const back = async () => expect(await kept()).toEqual(before);
  expect(await secondsUntil(platform, AT_MOST, back)).toBeGreaterThan(0);
  expect(logged(platform, message)).toMatchObject([{ level, appid: COMPONENT.appid }]);
  expect(simulator.ledger.calls).toHaveLength(calls);
  expect(await read(platform, TOKEN)).toMatchObject({ status: 200, value: newest(platform) });
  expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
  // The next one comes in as if nothing had been.
  const push = newTicketPush(platform);
  expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
  expect(await ticketMirror(platform)).toBe(push.ticket);
  await platform.pass(MINUTE);
  expect(logged(platform, message)).toHaveLength(1);
}

describe('row 6: somebody deletes or overwrites the ticket by hand', () => {
  it.each<Damage>([
    {
      damage: 'deletes the key that services read',
      message: MIRROR_RESTORED,
      level: 'warn',
      harm: (redis, _hash, string) => redis.del(string),
    },
    {
      damage: 'overwrites the key that services read',
      message: MIRROR_RESTORED,
      level: 'warn',
      harm: (redis, _hash, string) => redis.set(string, 'somebody-elses-idea'),
    },
    {
      damage: 'deletes the record',
      message: RESTORED,
      level: 'warn',
      harm: (redis, hash) => redis.del(hash),
    },
    {
      damage: 'deletes both',
      message: RESTORED,
      level: 'warn',
      harm: (redis, hash, string) => redis.del(hash, string),
    },
    {
      damage: 'edits the ticket in the record',
      message: RESTORED,
      level: 'warn',
      harm: (redis, hash) => redis.hset(hash, 'ticket', 'somebody-elses-idea'),
    },
  ])('who $damage: it is back, and WeChat is not asked', expectRestored);
});

describe('row 7: somebody writes into the keys of the ticket what we do not write', () => {
  it.each<Damage & { type: string }>([
    {
      damage: 'a list in place of the record',
      message: SPOILED,
      level: 'error',
      type: 'list',
      async harm(redis, hash) {
        await redis.del(hash);
        await redis.lpush(hash, 'garbage');
      },
    },
    {
      damage: 'a string in place of the record',
      message: SPOILED,
      level: 'error',
      type: 'string',
      harm: (redis, hash) => redis.set(hash, 'garbage'),
    },
    {
      damage: 'a word for its time',
      message: SPOILED,
      level: 'error',
      type: 'hash',
      harm: (redis, hash) => redis.hset(hash, 'create_time', 'tomorrow'),
    },
  ])('$damage: is put aside, a person is told, the ticket is there', async (one) => {
    await expectRestored(one);
    const { redis, keys } = platform;
    const aside = keys.spoiledTicket(COMPONENT.appid);
    expect(await redis.type(aside)).toBe(one.type);
    expect(logged(platform, SPOILED)).toMatchObject([{ key: aside }]);
  });

  it('a list in place of the key that services read: it is a string again', () =>
    expectRestored({
      damage: '',
      message: MIRROR_RESTORED,
      level: 'warn',
      async harm(redis, _hash, string) {
        await redis.del(string);
        await redis.lpush(string, 'garbage');
      },
    }));

  it('something else where the events are: no ticket comes in by halves, and each is one entry', async () => {
    const { redis, keys } = platform;
    const [events, [hash]] = [keys.events(COMPONENT.appid), keysOfTicket()];
    const before = [await redis.hgetall(hash), await redis.xlen(events)] as const;
    await redis.rename(events, `${events}:aside`);
    await redis.set(events, 'text');
    const push = newTicketPush(platform);
    for (const status of [503, 503]) expect(await post(push)).toMatchObject({ status });
    expect(await redis.hgetall(hash)).toEqual(before[0]);
    await redis.rename(`${events}:aside`, events);
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    await platform.pass(MINUTE);
    expect(await redis.xlen(events)).toBe(before[1] + 1);
    expect(await redis.hgetall(hash)).toMatchObject({
      ticket: push.ticket,
      count: '2',
      previous_ticket: ticket,
      previous_create_time: before[0].create_time,
    });
  });

  it('a count that is none costs no ticket', async () => {
    const [hash] = keysOfTicket();
    await platform.redis.hset(hash, 'count', 'many');
    const push = newTicketPush(platform);
    expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
    expect(await ticketMirror(platform)).toBe(push.ticket);
    expect(await platform.redis.hmget(hash, 'ticket', 'count')).toEqual([push.ticket, '1']);
  });

  it('a push that comes before anybody has noticed waits, and is stored', async () => {
    const { redis } = platform;
    const [hash] = keysOfTicket();
    await redis.set(hash, 'garbage');
    const push = newTicketPush(platform);
    expect(await post(push)).toMatchObject({ status: 503 });
    const stored = async () => expect(await redis.hget(hash, 'ticket')).toBe(push.ticket);
    expect(await secondsUntil(platform, AT_MOST, stored)).toBeGreaterThan(0);
    expect(await ticketMirror(platform)).toBe(push.ticket);
  });

  it('a word for the number of tickets, which only people look at, costs none of them', async () => {
    const { redis } = platform;
    const [hash] = keysOfTicket();
    await redis.hset(hash, 'count', 'many');
    for (let time = 0; time < 2; time += 1) {
      const push = newTicketPush(platform);
      expect(await post(push)).toMatchObject({ status: 200, text: 'success' });
      expect(await ticketMirror(platform)).toBe(push.ticket);
      await platform.pass(MINUTE);
    }
    expect(await redis.hget(hash, 'count')).toBe('2');
    expect(await readiness(platform)).toBe(200);
  });

  it('words for the numbers of pushes: they are counted anew, and nobody blames the ACL', async () => {
    const stats = platform.keys.pushStats(COMPONENT.appid);
    await platform.redis.hset(stats, 'accepted', 'many');
    for (let time = 0; time < 2; time += 1) {
      expect(await post(newTicketPush(platform))).toMatchObject({ status: 200 });
      await platform.pass(MINUTE);
    }
    expect(await platform.redis.hget(stats, 'accepted')).toBe('2');
    expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
  });

  it('a time far ahead does not keep later tickets out', async () => {
    const { redis } = platform;
    const [hash] = keysOfTicket();
    await redis.hset(hash, 'create_time', '99999999999999');
    await platform.pass(MINUTE);
    const push = newTicketPush(platform);
    await post(push);
    await platform.pass(MINUTE);
    expect(await ticketMirror(platform)).toBe(push.ticket);
  });
});
