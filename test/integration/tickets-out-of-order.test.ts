import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readTicket, TICKET_LIFE_MS } from '../../src/store/tickets.ts';
import { eventCount, post } from '../support/public-listener.ts';
import { sealPush, ticketXml } from '../support/seal.ts';
import {
  COMPONENT,
  createStation,
  HOUR,
  MINUTE,
  type Station,
  NO_PUSHES_ON_REQUEST,
} from '../support/station.ts';

let station: Station;
beforeAll(async () => {
  station = await createStation();
  station.simulator.addFault(NO_PUSHES_ON_REQUEST);
});
afterAll(() => station.close());
beforeEach(() => forgetTickets());

const now = () => Math.floor(station.clock.now() / 1000);
const stored = () =>
  readTicket(station.store, COMPONENT.appid).then(
    (ticket) => ticket ?? { ticket: undefined, previousTicket: undefined, createTime: 0, count: 0 },
  );
const mirrorKey = () => station.keys.ticketMirror(COMPONENT.appid);
const warnings = () =>
  station.logs.filter((line) => line.level === 'warn' && line.message.includes('CreateTime'))
    .length;
const postTicket = (ticket: string, createTime: number | string) =>
  post(station, sealPush(ticketXml({ ticket, createTime }), { timestamp: now() }));

/** In Redis by removing them, in the memory of the process by their age. */
async function forgetTickets(): Promise<void> {
  station.clock.sleepThrough(13 * HOUR);
  await station.redis.del(
    ...(await station.redis.keys(`${station.config.redisKeyPrefix}*ticket*`)),
    mirrorKey(),
  );
}

describe('row 50: tickets in any order', () => {
  /** Seconds before now, within a ticket's life; equal ones are meant to occur. */
  const ages = fc.array(fc.oneof(fc.nat(3), fc.nat(11 * 3600)), { minLength: 2, maxLength: 6 });

  it('leave the newest as the ticket and the one it replaced as the previous', async () => {
    await fc.assert(
      fc.asyncProperty(ages, async (order) => {
        await forgetTickets();
        await station.pass(1_000);
        const [run, events] = [now(), await eventCount(station)];
        const expected: { name: string; at: number }[] = [];
        for (const [index, age] of order.entries()) {
          const name = `ticket@@@${run}-${index}`;
          expect(await postTicket(name, run - age)).toBe('200 success');
          const at = run - age;
          // The first of two with the same CreateTime stays.
          if (at > (expected.at(-1)?.at ?? 0)) expected.push({ name, at });
          expect(await stored()).toMatchObject({
            ticket: expected.at(-1)?.name,
            createTime: (expected.at(-1)?.at ?? 0) * 1000,
            previousTicket: expected.at(-2)?.name,
            count: expected.length,
          });
          expect(await station.redis.get(mirrorKey())).toBe(expected.at(-1)?.name);
        }
        expect(await eventCount(station)).toBe(events + expected.length);
      }),
      { numRuns: 40 },
    );
  });

  it('die for readers twelve hours after their CreateTime, not after their arrival', async () => {
    const age = 5 * 3600;
    await postTicket('ticket@@@late', now() - age);
    const left = await station.redis.pttl(mirrorKey());
    expect(left).toBeLessThanOrEqual(TICKET_LIFE_MS - age * 1000);
    expect(left).toBeGreaterThan(TICKET_LIFE_MS - age * 1000 - 10 * MINUTE);
  });

  it('are kept for us without an end', async () => {
    await postTicket('ticket@@@kept', now());
    expect(await station.redis.pttl(station.keys.ticketRecord(COMPONENT.appid))).toBe(-1);
  });
});

describe('row 51: a CreateTime that cannot be', () => {
  const FUTURE = [
    ['six minutes ahead', () => String(now() + 360)],
    ['a year ahead', () => String(now() + 365 * 86_400)],
    ['in milliseconds', () => String(station.clock.now())],
    ['beyond all counting', () => '9'.repeat(32)],
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
      createTime: station.clock.now(),
    });
    expect(await station.redis.pttl(mirrorKey())).toBeLessThanOrEqual(TICKET_LIFE_MS);
    expect(warnings()).toBe(before + 1);
  });

  it('a little ahead counts as now, without a warning: clocks differ', async () => {
    const before = warnings();
    expect(await postTicket('ticket@@@ahead', now() + 299)).toBe('200 success');
    expect((await stored()).createTime).toBe(station.clock.now());
    expect(warnings()).toBe(before);
  });

  it('is believed to be our own fault when the signature is ahead as well', async () => {
    const ahead = now() + 3600;
    const push = sealPush(ticketXml({ createTime: ahead }), { timestamp: ahead });
    expect(await post(station, push)).toBe('200 success');
    expect((await stored()).createTime).toBe(station.clock.now());
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
        await station.pass(1_000);
        expect(await postTicket(`ticket@@@${now()}`, now())).toBe('200 success');
        expect((await stored()).ticket).toBe(`ticket@@@${now()}`);
      }),
      { numRuns: 100 },
    );
  });

  it('is not stored when it is an old one, and is no garbage', async () => {
    for (const createTime of ['0', '1', String(now() - 12 * 3600)]) {
      expect(await postTicket('ticket@@@ancient', createTime)).toMatch(/^401 /);
    }
    expect((await stored()).ticket).toBeUndefined();
  });

  it('is refused when it is longer than any time', async () => {
    expect(await postTicket('ticket@@@long', '1'.repeat(33))).toMatch(/^400 /);
    expect((await stored()).ticket).toBeUndefined();
  });

  it('serves no longer than any other ticket', async () => {
    await postTicket('ticket@@@future', now() + 30 * 86_400);
    await station.skip(12 * HOUR);
    const answer = await station.internal('/status');
    expect(await answer.json()).toMatchObject({
      components: [{ ticket: { state: 'ticket_expired' } }],
    });
  });
});
