import { afterEach, describe, expect, it } from 'vitest';
import { AUTHORIZED, AUTHORIZER_API } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked } from '../kit/authorizing.ts';
import {
  C,
  CODE_NEEDS_PERSON,
  entryOf,
  EXCHANGED,
  exchangesKept,
  HEALED,
  INFO,
  LOST,
  NOT_YET,
  opened,
  QUERY,
  secondsUntilAlive,
} from '../kit/exchanging.ts';
import { callsSince, gaps, logged, read } from '../kit/observe.ts';
import { AUTHORIZER, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';

let station: TestPlatform;
afterEach(async () => station.close());

const busy = (errcode: number, more: { afterMint?: boolean; times?: number } = {}) =>
  station.simulator.addFault({
    api: QUERY,
    times: 'forever',
    fault: { type: 'errcode', errcode },
    ...more,
  });

describe('row 88: WeChat is busy until the code has expired', () => {
  it('is asked again all the time; then the account must authorize again, and it works', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    busy(-1);
    const since = clock.now();
    const { code } = simulator.grant(C, AUTHORIZER);
    expect((await authorizedEvent(station, code)).status).toBe(200);
    await station.settle();
    const page = await donePage(station, code, { lang: 'en' });
    expect(await opened(station, page)).toContain('Your authorization was received');
    await station.pass(since + 10 * MINUTE - clock.now());
    expect(await read(station, AUTHORIZED)).toMatchObject({
      status: 404,
      error: { code: 'not_found' },
    });
    const asked = callsSince(station, QUERY, since);
    expect(asked.length).toBeGreaterThan(30);
    const pauses = gaps(asked);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(60);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(1);
    // Growing: nobody asks faster at the end than at the beginning.
    expect(pauses[3]).toBeGreaterThan(pauses[0] ?? 0);
    expect(Math.min(...pauses.slice(4))).toBeGreaterThanOrEqual(pauses[3] ?? 0);
    const lines = logged(station, NOT_YET);
    expect(lines).toHaveLength(asked.length);
    expect(lines.every(({ level }) => level === 'warn')).toBe(true);
    expect(lines.at(-1)).toMatchObject({
      component: C,
      authorizer: AUTHORIZER,
      attempts: asked.length,
      failure: { class: 'retry', errcode: -1 },
    });
    expect(await exchangesKept(station)).toMatchObject([{ attempts: asked.length }]);
    expect(callsSince(station, INFO, since)).toEqual([]);

    await station.pass(20_000);
    // It has no refresh token yet: none of its codes was exchanged.
    expect(callsSince(station, INFO, since)).toHaveLength(1);
    expect(logged(station, LOST)).toMatchObject([{ level: 'error', authorizer: AUTHORIZER }]);
    expect(await entryOf(station)).toMatchObject({ state: 'unexchanged' });
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 404 });
    expect(await opened(station, page)).toMatch(/again/i);
    const [ended] = await exchangesKept(station);
    expect(ended).toMatchObject({ outcome: 'expired' });
    expect(ended).not.toHaveProperty('code');

    simulator.clearFaults();
    const before = exchangesAsked(station).length;
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    expect(await secondsUntilAlive(station, 1)).toBe(0);
    expect(exchangesAsked(station).slice(before)).toEqual([0]);
    expect(await entryOf(station)).toMatchObject({ state: 'authorized' });
  });

  it('though it had exchanged it: the refresh token is asked for when the code is over', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    busy(-1, { afterMint: true });
    const since = clock.now();
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    await station.pass(10 * MINUTE - 1_000);
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 404 });
    await secondsUntilAlive(station, 60);
    expect((clock.now() - since) / 1000).toBeLessThanOrEqual(620);
    expect(callsSince(station, INFO, since).length).toBeGreaterThanOrEqual(1);
    expect(callsSince(station, AUTHORIZER_API, since)).toHaveLength(1);
    expect(logged(station, HEALED)).toMatchObject([{ level: 'warn', authorizer: AUTHORIZER }]);
    expect(logged(station, LOST)).toEqual([]);
    expect(await entryOf(station)).toMatchObject({ state: 'authorized' });
  });
});

describe('row 88: an exchange fails for a reason that somebody must mend', () => {
  it.each([
    { errcode: 61004, page: 'code: 61004', log: CODE_NEEDS_PERSON, level: 'error' },
    { errcode: 48001, page: 'code: 48001', log: CODE_NEEDS_PERSON, level: 'error' },
    { errcode: 45009, page: 'was received', log: CODE_NEEDS_PERSON, level: 'error' },
    { errcode: 45011, page: 'was received', log: NOT_YET, level: 'warn' },
  ])('$errcode: it is tried every minute, and works as soon as it is mended', async (one) => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    busy(one.errcode);
    const { code } = simulator.grant(C, AUTHORIZER);
    const page = await donePage(station, code, { lang: 'en' });
    const since = clock.now();
    expect(await opened(station, page)).toContain(one.page);
    expect(await opened(station, page)).toContain(one.page);
    await station.pass(since + 5 * MINUTE - clock.now());
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 404 });
    const lines = logged(station, one.log);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatchObject({
      level: one.level,
      component: C,
      attempts: 1,
      failure: { errcode: one.errcode },
    });
    const waits = gaps(callsSince(station, QUERY, since));
    expect(waits).toHaveLength(4);
    for (const wait of waits) {
      expect(wait).toBeGreaterThanOrEqual(60);
      expect(wait).toBeLessThanOrEqual(61);
    }
    expect(await exchangesKept(station)).toMatchObject([
      { attempts: 5, last_error: { errcode: one.errcode } },
    ]);
    simulator.clearFaults();
    expect(await secondsUntilAlive(station, 61)).toBeLessThanOrEqual(60);
    expect(logged(station, EXCHANGED)).toMatchObject([{ level: 'info', attempts: 6 }]);
    expect(await opened(station, page)).toContain('The account is authorized');
  });

  it('40001: the platform token is renewed once, and the second call brings everything', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    const platform = { kind: 'component_access_token', subject: C } as const;
    const { seq } = await read(station, platform);
    await station.pass(MINUTE);
    simulator.mintElsewhere('component_access_token');
    const since = clock.now();
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    expect(await secondsUntilAlive(station, 1)).toBe(0);
    expect(exchangesAsked(station)).toEqual([40001, 0]);
    expect(callsSince(station, 'api_component_token', since)).toHaveLength(1);
    expect((await read(station, platform)).seq).toBe((seq ?? 0) + 1);
    expect(logged(station, NOT_YET)).toEqual([]);
    expect(logged(station, 'a value died before its time; another one is minted')).toHaveLength(1);
  });

  it('40001 again and again: no more than one more call at a time', async () => {
    station = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = station;
    await station.pass(MINUTE);
    busy(40001);
    const since = clock.now();
    await authorizedEvent(station, simulator.grant(C, AUTHORIZER).code);
    await station.settle();
    await station.pass(2 * MINUTE);
    const asked = callsSince(station, QUERY, since);
    expect(asked.length).toBeLessThanOrEqual(20);
    expect(callsSince(station, 'api_component_token', since).length).toBeLessThanOrEqual(1);
    expect(await read(station, AUTHORIZED)).toMatchObject({ status: 404 });
    simulator.clearFaults();
    expect(await secondsUntilAlive(station, 20)).toBeLessThanOrEqual(15);
  });
});
