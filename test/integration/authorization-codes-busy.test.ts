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

let platform: TestPlatform;
afterEach(async () => platform.close());

const busy = (errcode: number, more: { afterMint?: boolean; times?: number } = {}) =>
  platform.simulator.addFault({
    api: QUERY,
    times: 'forever',
    fault: { type: 'errcode', errcode },
    ...more,
  });

describe('row 88: WeChat is busy until the code has expired', () => {
  it('is asked again all the time; then the account must authorize again, and it works', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    busy(-1);
    const since = clock.now();
    const { code } = simulator.grant(C, AUTHORIZER);
    expect((await authorizedEvent(platform, code)).status).toBe(200);
    await platform.settle();
    const page = await donePage(platform, code, { lang: 'en' });
    expect(await opened(platform, page)).toContain('Your authorization was received');
    await platform.pass(since + 10 * MINUTE - clock.now());
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 404,
      error: { code: 'not_found' },
    });
    const asked = callsSince(platform, QUERY, since);
    expect(asked.length).toBeGreaterThan(30);
    const pauses = gaps(asked);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(60);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(1);
    // Growing: nobody asks faster at the end than at the beginning.
    expect(pauses[3]).toBeGreaterThan(pauses[0] ?? 0);
    expect(Math.min(...pauses.slice(4))).toBeGreaterThanOrEqual(pauses[3] ?? 0);
    const lines = logged(platform, NOT_YET);
    expect(lines).toHaveLength(asked.length);
    expect(lines.every(({ level }) => level === 'warn')).toBe(true);
    expect(lines.at(-1)).toMatchObject({
      component: C,
      authorizer: AUTHORIZER,
      attempts: asked.length,
      failure: { class: 'retry', errcode: -1 },
    });
    expect(await exchangesKept(platform)).toMatchObject([{ attempts: asked.length }]);
    expect(callsSince(platform, INFO, since)).toEqual([]);

    await platform.pass(20_000);
    // It has no refresh token yet: none of its codes was exchanged.
    expect(callsSince(platform, INFO, since)).toHaveLength(1);
    expect(logged(platform, LOST)).toMatchObject([{ level: 'error', authorizer: AUTHORIZER }]);
    expect(await entryOf(platform)).toMatchObject({ state: 'unexchanged' });
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 404 });
    expect(await opened(platform, page)).toMatch(/again/i);
    const [ended] = await exchangesKept(platform);
    expect(ended).toMatchObject({ outcome: 'expired' });
    expect(ended).not.toHaveProperty('code');

    simulator.clearFaults();
    const before = exchangesAsked(platform).length;
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    expect(await secondsUntilAlive(platform, 1)).toBe(0);
    expect(exchangesAsked(platform).slice(before)).toEqual([0]);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
  });

  it('though it had exchanged it: the refresh token is asked for when the code is over', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    busy(-1, { afterMint: true });
    const since = clock.now();
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    await platform.pass(10 * MINUTE - 1_000);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 404 });
    await secondsUntilAlive(platform, 60);
    expect((clock.now() - since) / 1000).toBeLessThanOrEqual(620);
    expect(callsSince(platform, INFO, since).length).toBeGreaterThanOrEqual(1);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
    expect(logged(platform, HEALED)).toMatchObject([{ level: 'warn', authorizer: AUTHORIZER }]);
    expect(logged(platform, LOST)).toEqual([]);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
  });
});

describe('row 88: an exchange fails for a reason that somebody must mend', () => {
  it.each([
    { errcode: 61004, page: 'code: 61004', log: CODE_NEEDS_PERSON, level: 'error' },
    { errcode: 48001, page: 'code: 48001', log: CODE_NEEDS_PERSON, level: 'error' },
    { errcode: 45009, page: 'was received', log: CODE_NEEDS_PERSON, level: 'error' },
    { errcode: 45011, page: 'was received', log: NOT_YET, level: 'warn' },
  ])('$errcode: it is tried every minute, and works as soon as it is mended', async (one) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    busy(one.errcode);
    const { code } = simulator.grant(C, AUTHORIZER);
    const page = await donePage(platform, code, { lang: 'en' });
    const since = clock.now();
    expect(await opened(platform, page)).toContain(one.page);
    expect(await opened(platform, page)).toContain(one.page);
    await platform.pass(since + 5 * MINUTE - clock.now());
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 404 });
    const lines = logged(platform, one.log);
    expect(lines).toHaveLength(5);
    expect(lines[0]).toMatchObject({
      level: one.level,
      component: C,
      attempts: 1,
      failure: { errcode: one.errcode },
    });
    const waits = gaps(callsSince(platform, QUERY, since));
    expect(waits).toHaveLength(4);
    for (const wait of waits) {
      expect(wait).toBeGreaterThanOrEqual(60);
      expect(wait).toBeLessThanOrEqual(61);
    }
    expect(await exchangesKept(platform)).toMatchObject([
      { attempts: 5, last_error: { errcode: one.errcode } },
    ]);
    simulator.clearFaults();
    expect(await secondsUntilAlive(platform, 61)).toBeLessThanOrEqual(60);
    expect(logged(platform, EXCHANGED)).toMatchObject([{ level: 'info', attempts: 6 }]);
    expect(await opened(platform, page)).toContain('The account is authorized');
  });

  it('40001: the platform token is renewed once, and the second call brings everything', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    const componentToken = { kind: 'component_access_token', subject: C } as const;
    const { seq } = await read(platform, componentToken);
    await platform.pass(MINUTE);
    simulator.mintElsewhere('component_access_token');
    const since = clock.now();
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    expect(await secondsUntilAlive(platform, 1)).toBe(0);
    expect(exchangesAsked(platform)).toEqual([40001, 0]);
    expect(callsSince(platform, 'api_component_token', since)).toHaveLength(1);
    expect((await read(platform, componentToken)).seq).toBe((seq ?? 0) + 1);
    expect(logged(platform, NOT_YET)).toEqual([]);
    expect(logged(platform, 'a value died before its time; another one is minted')).toHaveLength(1);
  });

  it('40001 again and again: no more than one more call at a time', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    await platform.pass(MINUTE);
    busy(40001);
    const since = clock.now();
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    await platform.pass(2 * MINUTE);
    const asked = callsSince(platform, QUERY, since);
    expect(asked.length).toBeLessThanOrEqual(20);
    expect(callsSince(platform, 'api_component_token', since).length).toBeLessThanOrEqual(1);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 404 });
    simulator.clearFaults();
    expect(await secondsUntilAlive(platform, 20)).toBeLessThanOrEqual(15);
  });
});
