import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../src/lib/log.ts';
import { createPendingTickets } from '../../src/tickets/pending.ts';
import {
  acceptTicket,
  keepTicket,
  readTicket,
  TICKET_LIFE_MS,
} from '../../src/store/tickets/ticket.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { eventCount, post, pushCounts } from '../kit/public-listener.ts';
import { encryptPush, ticketXml } from '../kit/push-envelope.ts';
import { keysLike, remove } from '../kit/redis-shapes/whole.ts';

let platform: TestPlatform;
beforeAll(async () => {
  platform = await createTestPlatform();
  platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
});
afterAll(() => platform.close());
beforeEach(() => forgetTickets());

const now = () => Math.floor(platform.clock.now() / 1000);
const stored = () =>
  readTicket(platform.store, COMPONENT.appid).then(
    (ticket) => ticket ?? { ticket: undefined, previousTicket: undefined, createTime: 0, count: 0 },
  );
const mirrorKey = () => platform.keys.ticketMirror(COMPONENT.appid);
const warnings = () =>
  platform.logs.filter((line) => line.level === 'warn' && line.message.includes('CreateTime'))
    .length;
let posted = 0;
/** Encrypted anew each time. */
function postTicket(ticket: string, createTime: number | string): Promise<string> {
  posted += 1;
  const random = String(posted).padStart(16, '0');
  return post(
    platform,
    encryptPush(ticketXml({ ticket, createTime }), { timestamp: now(), random }),
  );
}

/** In Redis by removing them, in the memory of the process by their age. */
async function forgetTickets(): Promise<void> {
  platform.clock.sleepThrough(13 * HOUR);
  const { redis, config } = platform;
  await remove(redis, await keysLike(redis, `${config.redisKeyPrefix}*ticket*`));
}

describe('row 50: tickets in any order', () => {
  /** Seconds before now, within a ticket's life; equal ones are meant to occur. */
  const ages = fc.array(fc.oneof(fc.nat(3), fc.nat(11 * 3600)), { minLength: 2, maxLength: 6 });

  it('leave the newest as the ticket and the one it replaced as the previous', async () => {
    await fc.assert(
      fc.asyncProperty(ages, async (order) => {
        await forgetTickets();
        await platform.pass(1_000);
        const [run, events] = [now(), await eventCount(platform)];
        const expected: { name: string; at: number }[] = [];
        for (const [index, age] of order.entries()) {
          const name = `ticket@@@${run}-${index}`;
          expect(await postTicket(name, run - age)).toBe('200 success');
          const at = run - age;
          // Of two with the same CreateTime the one that comes later is the newest.
          if (at >= (expected.at(-1)?.at ?? 0)) expected.push({ name, at });
          expect(await stored()).toMatchObject({
            ticket: expected.at(-1)?.name,
            createTime: (expected.at(-1)?.at ?? 0) * 1000,
            previousTicket: expected.at(-2)?.name,
            count: expected.length,
          });
          expect(await platform.redis.get(mirrorKey())).toBe(expected.at(-1)?.name);
        }
        expect(await eventCount(platform)).toBe(events + expected.length);
      }),
      { numRuns: 40 },
    );
  });

  it('die for readers twelve hours after their CreateTime, not after their arrival', async () => {
    const age = 5 * 3600;
    await postTicket('ticket@@@late', now() - age);
    const left = await platform.redis.pttl(mirrorKey());
    expect(left).toBeLessThanOrEqual(TICKET_LIFE_MS - age * 1000);
    expect(left).toBeGreaterThan(TICKET_LIFE_MS - age * 1000 - 10 * MINUTE);
  });

  it('are kept for us without an end', async () => {
    await postTicket('ticket@@@kept', now());
    expect(await platform.redis.pttl(platform.keys.ticketRecord(COMPONENT.appid))).toBe(-1);
  });
});

describe('row 108: the same ticket again, encrypted anew', () => {
  const arrivals = () => platform.redis.llen(platform.keys.ticketArrivals(COMPONENT.appid));
  /** The newest is B, and A the one before it. */
  async function takeTwo(): Promise<void> {
    await postTicket('ticket@@@A', now() - 700);
    await postTicket('ticket@@@B', now() - 100);
    expect(await stored()).toMatchObject({ count: 2, previousTicket: 'ticket@@@A' });
  }

  it.each([
    ['with a CreateTime some seconds later each time', [-97, -94, -91]],
    ['with a CreateTime ahead of our clock', [3, 3, 4]],
    ['with the same CreateTime', [-100, -100, -100]],
    ['with a CreateTime that goes back', [-97, -103, -101]],
    ['without any', ['', 'yesterday', '0']],
  ])('counts once and does not become the one before itself: %s', async (_what, times) => {
    await takeTwo();
    const [events, came, counts] = [
      await eventCount(platform),
      await arrivals(),
      await pushCounts(platform),
    ];
    for (const time of times) {
      const createTime = typeof time === 'number' ? now() + time : time;
      expect(await postTicket('ticket@@@B', createTime)).toBe('200 success');
      await platform.pass(1_000);
    }
    expect(await stored()).toMatchObject({
      ticket: 'ticket@@@B',
      previousTicket: 'ticket@@@A',
      count: 2,
    });
    expect(await platform.redis.get(mirrorKey())).toBe('ticket@@@B');
    expect(await eventCount(platform)).toBe(events);
    expect(await arrivals()).toBe(came);
    const { accepted, duplicate } = await pushCounts(platform);
    expect(accepted).toBe(counts.accepted);
    expect(duplicate - counts.duplicate).toBe(3);
  });

  it('lives from its latest CreateTime on, and never shorter', async () => {
    await takeTwo();
    const time = now() - 40;
    await postTicket('ticket@@@B', time);
    await postTicket('ticket@@@B', time - 30);
    expect((await stored()).createTime).toBe(time * 1000);
    expect(await platform.redis.pttl(mirrorKey())).toBeGreaterThan(TICKET_LIFE_MS - 2 * MINUTE);
  });

  it('is a sign of life ten minutes later: nobody says that WeChat is silent', async () => {
    await takeTwo();
    const [came, before] = [await arrivals(), platform.logs.length];
    for (let push = 0; push < 6; push += 1) {
      await platform.pass(10 * MINUTE);
      await postTicket('ticket@@@B', now());
    }
    expect(await arrivals()).toBe(came + 6);
    expect(await stored()).toMatchObject({ count: 2, previousTicket: 'ticket@@@A' });
    const silent = platform.logs.slice(before).filter((line) => line.message.includes('no ticket'));
    expect(silent).toEqual([]);
  });

  it('is the newest again when WeChat goes back to it, and the other one the previous', async () => {
    await takeTwo();
    await postTicket('ticket@@@A', now() - 50);
    expect(await stored()).toMatchObject({
      ticket: 'ticket@@@A',
      previousTicket: 'ticket@@@B',
    });
  });

  it('is good again although WeChat has refused it, when WeChat says so', async () => {
    await takeTwo();
    const record = platform.keys.ticketRecord(COMPONENT.appid);
    await platform.redis.hset(record, 'refused', 'newest', 'refused_at', platform.clock.now());
    // Not by way of the service, which would ask WeChat with it at once.
    const comeAgain = (fingerprint: string, age: number) =>
      acceptTicket(platform.store, {
        appid: COMPONENT.appid,
        ticket: 'ticket@@@B',
        createTime: (now() - age) * 1000,
        receivedAt: platform.clock.now(),
        fingerprint,
        event: { id: fingerprint },
      });
    expect(await comeAgain('one', 100)).toBe('duplicate');
    expect(await platform.redis.hget(record, 'refused')).toBe('newest');
    expect(await comeAgain('two', 90)).toBe('duplicate');
    expect(await platform.redis.hget(record, 'refused')).toBeNull();
  });
});

describe('row 128: several tickets with one CreateTime', () => {
  const names = async () => {
    const { ticket, previousTicket } = await stored();
    return [ticket, previousTicket].map((name) => name?.slice('ticket@@@'.length));
  };
  /** Each letter is a ticket as it comes, encrypted anew; what stands before the colon is older. */
  const STORIES: [string, string, [string, string | undefined]][] = [
    ['the later arrival is the newest', 'AB', ['B', 'A']],
    ['a repeat of the one before does not come back', 'ABA', ['B', 'A']],
    ['nor does one from before that', 'ABCA', ['C', 'B']],
    ['a repeat of the newest changes nothing', 'ABB', ['B', 'A']],
    ['repeats in any order change nothing', 'ABCBACAB', ['C', 'B']],
    ['an older one that is sent late is not the newest', 'aABa', ['B', 'A']],
    ['nor is one that never came', 'ABx', ['B', 'A']],
    ['nor one that was replaced long ago', 'aABCabc', ['C', 'B']],
  ];

  it.each(STORIES)('%s: %s', async (_what, story, expected) => {
    const time = now();
    const different = new Set(story.split('').filter((letter) => letter === letter.toUpperCase()));
    for (const letter of story) {
      const older = letter !== letter.toUpperCase();
      await postTicket(`ticket@@@${letter}`, older ? time - 600 : time);
      await platform.pass(1_000);
    }
    expect(await names()).toEqual(expected);
    expect(await platform.redis.get(mirrorKey())).toBe(`ticket@@@${expected[0]}`);
    expect((await stored()).count).toBe(different.size + (story.startsWith('a') ? 1 : 0));
  });

  it('gives way to one with a later CreateTime, whoever came last', async () => {
    const time = now() - 60;
    await postTicket('ticket@@@later', time + 1);
    for (const name of ['A', 'B']) await postTicket(`ticket@@@${name}`, time);
    expect(await names()).toEqual(['later', undefined]);
  });

  it('is not undone by a replica that remembers the other one', async () => {
    const replica = await platform.addReplica();
    const time = now();
    await postTicket('ticket@@@A', time);
    await platform.pass(MINUTE);
    await postTicket('ticket@@@B', time);
    await platform.pass(MINUTE);
    expect(await names()).toEqual(['B', 'A']);
    expect(platform.logs.filter(({ message }) => message.includes('restored'))).toEqual([]);
    await replica.stop();
  });

  it('is the same while Redis is away and they wait in memory', async () => {
    const time = platform.clock.now();
    const pending = createPendingTickets({
      store: platform.store,
      clock: platform.clock,
      log: createLog({ level: 'error', secrets: [] }),
      onStored: () => undefined,
    });
    for (const [index, letter] of ['x', 'A', 'B', 'A'].entries()) {
      pending.hold({
        appid: COMPONENT.appid,
        ticket: `ticket@@@${letter}`,
        createTime: letter === 'x' ? time - 600_000 : time,
        receivedAt: time + index,
        fingerprint: `${time}-${index}`,
        event: { id: String(index) },
      });
    }
    await pending.stop();
    expect(pending.components()).toEqual([]);
    expect(await names()).toEqual(['B', 'A']);
    expect((await stored()).count).toBe(3);
  });

  it('is given back to a Redis that has lost it, as it was', async () => {
    const time = now();
    for (const name of ['A', 'B', 'A']) await postTicket(`ticket@@@${name}`, time);
    await platform.redis.del(platform.keys.ticketRecord(COMPONENT.appid), mirrorKey());
    await platform.pass(MINUTE);
    expect(await names()).toEqual(['B', 'A']);
  });

  it('is told from one that somebody wrote by hand', async () => {
    const time = now();
    for (const name of ['A', 'B']) await postTicket(`ticket@@@${name}`, time);
    await platform.pass(MINUTE);
    const record = platform.keys.ticketRecord(COMPONENT.appid);
    const remembered = await readTicket(platform.store, COMPONENT.appid);
    await platform.redis.hset(record, 'ticket', 'somebody-elses-idea');
    const kept = await keepTicket(platform.store, COMPONENT.appid, remembered);
    expect(kept).toMatchObject({ outcome: 'restored', ticket: { ticket: 'ticket@@@B' } });
  });
});

describe('row 51: a CreateTime that cannot be', () => {
  const FUTURE = [
    ['six minutes ahead', () => String(now() + 360)],
    ['a year ahead', () => String(now() + 365 * 86_400)],
    ['in milliseconds', () => String(platform.clock.now())],
    ['beyond all counting', () => '9'.repeat(32)],
    ['longer than any time', () => '1'.repeat(33)],
    ['zero', () => '0'],
    ['before WeChat', () => '946684800'],
    ['a word', () => 'yesterday'],
    ['empty', () => ''],
    ['negative', () => '-1795219200'],
    ['a power', () => '1e9'],
    ['in hexadecimal', () => '0x6b01'],
    ['with a fraction', () => `${now()}.5`],
  ] as const;

  it.each(FUTURE)('%s counts as now, with a warning', async (_what, createTime) => {
    const before = warnings();
    expect(await postTicket('ticket@@@odd', createTime())).toBe('200 success');
    expect(await stored()).toMatchObject({
      ticket: 'ticket@@@odd',
      createTime: platform.clock.now(),
    });
    expect(await platform.redis.pttl(mirrorKey())).toBeLessThanOrEqual(TICKET_LIFE_MS);
    expect(warnings()).toBe(before + 1);
  });

  it('a little ahead counts as now, without a warning: clocks differ', async () => {
    const before = warnings();
    expect(await postTicket('ticket@@@ahead', now() + 299)).toBe('200 success');
    expect((await stored()).createTime).toBe(platform.clock.now());
    expect(warnings()).toBe(before);
  });

  it('is believed to be our own fault when the signature is ahead as well', async () => {
    const ahead = now() + 3600;
    const push = encryptPush(ticketXml({ createTime: ahead }), { timestamp: ahead });
    expect(await post(platform, push)).toBe('200 success');
    expect((await stored()).createTime).toBe(platform.clock.now());
  });

  it('never blocks the ticket that comes a second later, whatever it was', async () => {
    const anything = fc.oneof(
      fc.stringMatching(/^\d{1,32}$/),
      fc.stringMatching(/^[ -%'-;=-~]{0,40}$/),
      fc.integer({ min: -1, max: 2 ** 40 }).map(String),
    );
    await fc.assert(
      fc.asyncProperty(anything, async (createTime) => {
        await postTicket('ticket@@@odd', createTime);
        await platform.pass(1_000);
        expect(await postTicket(`ticket@@@${now()}`, now())).toBe('200 success');
        expect((await stored()).ticket).toBe(`ticket@@@${now()}`);
      }),
      { numRuns: 100 },
    );
  });

  it('is not stored when it is an old one, and is no garbage', async () => {
    for (const age of [12 * 3600, 25 * 3600, 365 * 86_400]) {
      expect(await postTicket('ticket@@@ancient', now() - age)).toMatch(/^401 /);
    }
    expect((await stored()).ticket).toBeUndefined();
  });

  it('is remembered until it could be taken at its word, and for a life after that', async () => {
    const ahead = now() + 7200;
    const push = encryptPush(ticketXml({ ticket: 'ticket@@@ahead', createTime: ahead }), {
      timestamp: now(),
    });
    expect(await post(platform, push)).toBe('200 success');
    const [name = ''] = (
      await keysLike(platform.redis, `${platform.config.redisKeyPrefix}seen:*`)
    ).filter((key) => key.endsWith(createHash('sha256').update(push.encrypt).digest('hex')));
    const left = (await platform.redis.pttl(name)) - TICKET_LIFE_MS - 7_200_000;
    expect(Math.abs(left)).toBeLessThan(MINUTE);
  });

  it('serves no longer than any other ticket', async () => {
    await postTicket('ticket@@@future', now() + 30 * 86_400);
    await platform.skip(12 * HOUR);
    const answer = await platform.internal('/status');
    expect(await answer.json()).toMatchObject({
      components: [{ ticket: { state: 'ticket_expired' } }],
    });
  });
});
