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
    let platform: TestPlatform;
    /** The moment of the tick that finds the token due. */
    let since: number;
    beforeEach(async () => {
      platform = await platformBeforeRefresh();
      since = platform.clock.now() + MINUTE;
    });
    afterEach(() => platform.close());

    const refuse = (times: number | 'forever') =>
      platform.simulator.addFault({ api: MINT_API, times, fault: { type: 'errcode', errcode } });
    const mintedWith = () => platform.simulator.latestMint(TOKEN.kind)?.ticket;

    it('tries the ticket before it, once, a second later', async () => {
      refuse(1);
      const before = await stored(platform, TOKEN);
      const { ticket, previous_ticket: previous } = await ticketOf(platform);
      expect(previous).not.toBe(ticket);
      await platform.pass(MINUTE);
      expect(await stored(platform, TOKEN)).toEqual({
        kept: before.kept,
        failures: 1,
        locked: false,
        suspect: false,
      });
      expect(await ticketOf(platform)).toMatchObject({ ticket, refused: 'newest' });
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });
      expect(logged(platform, FAILED)).toMatchObject([
        { level: 'warn', kind: TOKEN.kind, failure: { class: 'ticket', errcode } },
      ]);

      expect(await secondsUntilRenewed(platform, '1', 5)).toBeGreaterThan(0);
      expect(mintedWith()).toBe(previous);
      expect(callsSince(platform, MINT_API, since)).toHaveLength(2);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
      await expectHealed(platform);
    });

    it('waits for the next push when both are refused, and asks for one', async () => {
      refuse(3);
      platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
      const before = await stored(platform, TOKEN);
      await platform.pass(9 * MINUTE);
      expect(await ticketOf(platform)).toMatchObject({ refused: 'both' });
      // The newest, the one before it, and the newest once more.
      const calls = callsSince(platform, MINT_API, since);
      expect(calls).toHaveLength(3);
      expect(gaps(calls)[1]).toBeGreaterThanOrEqual(20);
      expect(gaps(calls)[1]).toBeLessThanOrEqual(60);
      expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1 });
      // Pushes are asked for within one patrol, and not again within the hour.
      const asked = callsSince(platform, START_PUSH, since);
      expect(asked).toHaveLength(1);
      expect(asked[0]).toBeLessThanOrEqual(15);
      expect((await statusOf(platform, TOKEN)).problems.map(({ code }) => code)).toContain(
        'ticket_refused',
      );

      await platform.pass(3 * MINUTE);
      expect(await read(platform, TOKEN)).toMatchObject({
        status: 503,
        retryAfter: 60,
        error: { code: 'ticket_expired' },
      });
      // The code that was ready lives by itself; there is none after it.
      expect(await read(platform, CODE)).toMatchObject({ status: 200 });
      expect(await read(platform, CODE)).toMatchObject({ status: 503 });
      expect(callsSince(platform, MINT_API, since)).toHaveLength(3);

      // The push that comes mends everything in the same moment.
      await platform.simulator.pushTicket();
      await platform.settle();
      expect(callsSince(platform, MINT_API, since)).toHaveLength(4);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
      expect(await read(platform, CODE)).toMatchObject({ status: 200 });
      expect(await ticketOf(platform)).not.toHaveProperty('refused');
      await expectHealed(platform);
    });

    it('heals by itself within half a minute when WeChat pushes as soon as it is asked', async () => {
      refuse(2);
      await platform.pass(MINUTE);
      expect(await secondsUntilRenewed(platform, '1', 30)).toBeGreaterThan(0);
      expect(logged(platform, ASKED)).toMatchObject([{ level: 'warn', appid: COMPONENT.appid }]);
      expect(logged(platform, NEEDS_PERSON)).toEqual([]);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
      await expectHealed(platform);
    });

    it('asks for pushes once an hour and calls WeChat for nothing else while none comes', async () => {
      refuse('forever');
      platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
      await platform.pass(3 * HOUR);
      const asked = callsSince(platform, START_PUSH, since);
      expect(asked.length).toBeGreaterThanOrEqual(3);
      for (const gap of gaps(asked)) expect(gap).toBeGreaterThanOrEqual(3_600);
      expect(callsSince(platform, MINT_API, since)).toHaveLength(3);
    });
  },
);

describe.each([61005, 61006])(
  'row 122: the only ticket is refused once (errcode %d)',
  (errcode) => {
    it('and serves a minute later, without another one', async () => {
      const platform = await createTestPlatform();
      platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
      platform.simulator.addFault({ api: MINT_API, fault: { type: 'errcode', errcode } });
      await platform.simulator.pushTicket();
      await platform.settle();
      expect(await read(platform, TOKEN)).toMatchObject({ status: 503 });
      await platform.pass(MINUTE);
      expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'fresh' });
      expect(callsSince(platform, MINT_API, 0)).toHaveLength(2);
      await expectHealed(platform);
      await platform.close();
    });
  },
);
