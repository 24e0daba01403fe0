import { afterEach, describe, expect, it } from 'vitest';
import type { ApiFault } from '../../src/sandbox/wechat/faults.ts';
import { authorizationOf, AUTHORIZED, AUTHORIZER_API } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked } from '../kit/authorizing.ts';
import {
  C,
  entryOf,
  exchangesKept,
  HEALED,
  INFO,
  NOT_YET,
  opened,
  QUERY,
  REFUSED,
  secondsUntilAlive,
} from '../kit/exchanging.ts';
import { expectAlive } from '../kit/expect.ts';
import { callsSince, logged, read } from '../kit/observe.ts';
import { AUTHORIZER, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { passUnanswered } from '../kit/waiting.ts';

let station: TestPlatform;
afterEach(async () => station.close());

const FAULTS: { what: string; fault: ApiFault; healsWithin: number }[] = [
  { what: 'cut off', fault: { type: 'reset' }, healsWithin: 19 },
  { what: 'half of it', fault: { type: 'truncate', close: true }, healsWithin: 19 },
  { what: 'half a document', fault: { type: 'truncate' }, healsWithin: 19 },
  { what: 'never', fault: { type: 'hang' }, healsWithin: 23 },
  { what: 'a gateway page', fault: { type: 'status', status: 502 }, healsWithin: 19 },
];

describe('row 88: the answer to the exchange is lost on the wire, and the code is used up', () => {
  it.each(FAULTS)('$what: WeChat names the refresh token', async ({ fault, healsWithin }) => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    const since = clock.now();
    simulator.addFault({ api: QUERY, afterMint: true, fault });
    const { code } = simulator.grant(C, AUTHORIZER);
    expect((await authorizedEvent(station, code)).status).toBe(200);
    await passUnanswered(station, 0);
    await passUnanswered(station, 8_000);
    expect(exchangesAsked(station)).toEqual([0]);
    const path = `/v1/credentials/${AUTHORIZED.kind}/${AUTHORIZED.subject}`;
    expect((await station.internal(path)).status).toBe(404);
    expect(logged(station, NOT_YET)).toMatchObject([
      { level: 'warn', component: C, authorizer: AUTHORIZER, attempts: 1 },
    ]);
    expect(await exchangesKept(station)).toMatchObject([{ maybe_used: true, attempts: 1 }]);

    await secondsUntilAlive(station, 30);
    expect((clock.now() - since) / 1000).toBeLessThanOrEqual(healsWithin);
    expect(exchangesAsked(station)).toEqual([0, 61009]);
    // Once for the refresh token, once for the name; the lost token is replaced by one more mint.
    expect(callsSince(station, INFO, since).length).toBeLessThanOrEqual(2);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
    expect(logged(station, REFUSED)).toMatchObject([
      { level: 'warn', failure: { errcode: 61009 } },
    ]);
    expect(logged(station, HEALED)).toMatchObject([{ level: 'warn', authorizer: AUTHORIZER }]);
    expect(station.logs.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await entryOf(station)).toMatchObject({ state: 'authorized' });
    const [kept] = await exchangesKept(station);
    expect(kept).toMatchObject({ outcome: 'authorized' });
    expect(kept).not.toHaveProperty('code');
    await station.pass(MINUTE);
    await expectAlive(station);
    expect(exchangesAsked(station)).toEqual([0, 61009]);
  });

  it('of an account that was served before: the token that the lost one ended is replaced', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    const before = await read(station, AUTHORIZED);
    await station.pass(5 * MINUTE);
    await expectAlive(station);
    const since = clock.now();
    simulator.addFault({ api: QUERY, afterMint: true, fault: { type: 'reset' } });
    const { code } = simulator.grant(C, AUTHORIZER, { update: true });
    await authorizedEvent(station, code, { infoType: 'updateauthorized' });
    await station.settle();
    // WeChat has ended what we hold, and said so to nobody.
    expect(simulator.isLive(AUTHORIZED.kind, before.value ?? '')).toBe(false);
    await secondsUntilAlive(station, 60);
    expect((clock.now() - since) / 1000).toBeLessThanOrEqual(30);
    expect((await read(station, AUTHORIZED)).value).not.toBe(before.value);
    expect(logged(station, HEALED)).toHaveLength(1);
    await station.pass(MINUTE);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
  });

  it('of a redirect: the page waits, and the event that comes late heals it', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    simulator.addFault({ api: QUERY, afterMint: true, fault: { type: 'reset' } });
    // Otherwise WeChat's list heals it first.
    const busy = { type: 'errcode', errcode: -1 } as const;
    simulator.addFault({ api: 'api_get_authorizer_list', times: 'forever', fault: busy });
    const createTime = Math.floor(clock.now() / 1000);
    const { code } = simulator.grant(C, AUTHORIZER);
    const page = await donePage(station, code, { lang: 'en' });
    const first = opened(station, page);
    expect(await first).toContain('Your authorization was received');
    await station.pass(20_000);
    expect(exchangesAsked(station)).toEqual([0, 61009]);
    // Nobody knows whose code it was, so that WeChat cannot be asked for the refresh token.
    expect(await opened(station, page)).toMatch(/again/i);
    const kept = await exchangesKept(station);
    expect(kept).toMatchObject([{ outcome: 'expired', maybe_used: true }]);

    const told = clock.now();
    expect((await authorizedEvent(station, code, { createTime })).status).toBe(200);
    await station.settle();
    await secondsUntilAlive(station, 30);
    expect((clock.now() - told) / 1000).toBeLessThanOrEqual(5);
    expect(logged(station, HEALED)).toHaveLength(1);
    expect((await authorizationOf(station)).revoked).toBe(false);
    expect(await opened(station, page)).toContain('The account is authorized');
  });
});
