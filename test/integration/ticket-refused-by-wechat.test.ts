import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { callsSince, gaps, logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  FAILED,
  MINT_API,
  NEEDS_PERSON,
  platformBeforeRefresh,
  secondsUntilRenewed,
} from '../kit/scenario.ts';

const START_PUSH = 'api_start_push_ticket';
const ASKED = 'asked WeChat to push tickets again';

const ticketOf = ({ redis, keys }: TestPlatform) =>
  redis.hgetall(keys.ticketRecord(COMPONENT.appid));

describe.each([61005, 61006])(
  'row 42: WeChat refuses the component_verify_ticket (errcode %d)',
  (errcode) => {
    let station: TestPlatform;
    /** The moment of the tick that finds the token due. */
    let since: number;
    beforeEach(async () => {
      station = await platformBeforeRefresh();
      since = station.clock.now() + MINUTE;
    });
    afterEach(() => station.close());

    const refuse = (times: number | 'forever') =>
      station.simulator.addFault({ api: MINT_API, times, fault: { type: 'errcode', errcode } });
    const mintedWith = () => station.simulator.latestMint(TOKEN.kind)?.ticket;

    it('tries the ticket before it, once, a second later', async () => {
      refuse(1);
      const before = await stored(station, TOKEN);
      const { ticket, previous_ticket: previous } = await ticketOf(station);
      expect(previous).not.toBe(ticket);
      await station.pass(MINUTE);
      expect(await stored(station, TOKEN)).toEqual({
        kept: before.kept,
        failures: 1,
        locked: false,
        suspect: false,
      });
      expect(await ticketOf(station)).toMatchObject({ ticket, refused: 'newest' });
      expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });
      expect(logged(station, FAILED)).toMatchObject([
        { level: 'warn', kind: TOKEN.kind, failure: { class: 'ticket', errcode } },
      ]);

      expect(await secondsUntilRenewed(station, '1', 5)).toBeGreaterThan(0);
      expect(mintedWith()).toBe(previous);
      expect(callsSince(station, MINT_API, since)).toHaveLength(2);
      expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
      await expectHealed(station);
    });

    it('waits for the next push when both are refused, and asks for one', async () => {
      refuse(3);
      station.simulator.addFault(NO_PUSHES_ON_REQUEST);
      const before = await stored(station, TOKEN);
      await station.pass(9 * MINUTE);
      expect(await ticketOf(station)).toMatchObject({ refused: 'both' });
      // The newest, the one before it, and the newest once more.
      const calls = callsSince(station, MINT_API, since);
      expect(calls).toHaveLength(3);
      expect(gaps(calls)[1]).toBeGreaterThanOrEqual(20);
      expect(gaps(calls)[1]).toBeLessThanOrEqual(60);
      expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
      expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1 });
      // Pushes are asked for within one patrol, and not again within the hour.
      const asked = callsSince(station, START_PUSH, since);
      expect(asked).toHaveLength(1);
      expect(asked[0]).toBeLessThanOrEqual(15);
      expect((await statusOf(station, TOKEN)).problems.map(({ code }) => code)).toContain(
        'ticket_refused',
      );

      await station.pass(3 * MINUTE);
      expect(await read(station, TOKEN)).toMatchObject({
        status: 503,
        retryAfter: 60,
        error: { code: 'ticket_expired' },
      });
      // The code that was ready lives by itself; there is none after it.
      expect(await read(station, CODE)).toMatchObject({ status: 200 });
      expect(await read(station, CODE)).toMatchObject({ status: 503 });
      expect(callsSince(station, MINT_API, since)).toHaveLength(3);

      // The push that comes mends everything in the same moment.
      await station.simulator.pushTicket();
      await station.settle();
      expect(callsSince(station, MINT_API, since)).toHaveLength(4);
      expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
      expect(await read(station, CODE)).toMatchObject({ status: 200 });
      expect(await ticketOf(station)).not.toHaveProperty('refused');
      await expectHealed(station);
    });

    it('heals by itself within half a minute when WeChat pushes as soon as it is asked', async () => {
      refuse(2);
      await station.pass(MINUTE);
      expect(await secondsUntilRenewed(station, '1', 30)).toBeGreaterThan(0);
      expect(logged(station, ASKED)).toMatchObject([{ level: 'warn', appid: COMPONENT.appid }]);
      expect(logged(station, NEEDS_PERSON)).toEqual([]);
      expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
      await expectHealed(station);
    });

    it('asks for pushes once an hour and calls WeChat for nothing else while none comes', async () => {
      refuse('forever');
      station.simulator.addFault(NO_PUSHES_ON_REQUEST);
      await station.pass(3 * HOUR);
      const asked = callsSince(station, START_PUSH, since);
      expect(asked.length).toBeGreaterThanOrEqual(3);
      for (const gap of gaps(asked)) expect(gap).toBeGreaterThanOrEqual(3_600);
      expect(callsSince(station, MINT_API, since)).toHaveLength(3);
    });
  },
);

describe.each([61005, 61006])(
  'row 122: the only ticket is refused once (errcode %d)',
  (errcode) => {
    it('and serves a minute later, without another one', async () => {
      const station = await createTestPlatform();
      station.simulator.addFault(NO_PUSHES_ON_REQUEST);
      station.simulator.addFault({ api: MINT_API, fault: { type: 'errcode', errcode } });
      await station.simulator.pushTicket();
      await station.settle();
      expect(await read(station, TOKEN)).toMatchObject({ status: 503 });
      await station.pass(MINUTE);
      expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
      expect(callsSince(station, MINT_API, 0)).toHaveLength(2);
      await expectHealed(station);
      await station.close();
    });
  },
);
