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

let platform: TestPlatform;
afterEach(async () => platform.close());

const FAULTS: { what: string; fault: ApiFault; healsWithin: number }[] = [
  { what: 'cut off', fault: { type: 'reset' }, healsWithin: 19 },
  { what: 'half of it', fault: { type: 'truncate', close: true }, healsWithin: 19 },
  { what: 'half a document', fault: { type: 'truncate' }, healsWithin: 19 },
  { what: 'never', fault: { type: 'hang' }, healsWithin: 23 },
  { what: 'a gateway page', fault: { type: 'status', status: 502 }, healsWithin: 19 },
];

describe('row 88: the answer to the exchange is lost on the wire, and the code is used up', () => {
  it.each(FAULTS)('$what: WeChat names the refresh token', async ({ fault, healsWithin }) => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    const since = clock.now();
    simulator.addFault({ api: QUERY, afterMint: true, fault });
    const { code } = simulator.grant(C, AUTHORIZER);
    expect((await authorizedEvent(platform, code)).status).toBe(200);
    await passUnanswered(platform, 0);
    await passUnanswered(platform, 8_000);
    expect(exchangesAsked(platform)).toEqual([0]);
    const path = `/v1/credentials/${AUTHORIZED.kind}/${AUTHORIZED.subject}`;
    expect((await platform.internal(path)).status).toBe(404);
    expect(logged(platform, NOT_YET)).toMatchObject([
      { level: 'warn', component: C, authorizer: AUTHORIZER, attempts: 1 },
    ]);
    expect(await exchangesKept(platform)).toMatchObject([{ maybe_used: true, attempts: 1 }]);

    await secondsUntilAlive(platform, 30);
    expect((clock.now() - since) / 1000).toBeLessThanOrEqual(healsWithin);
    expect(exchangesAsked(platform)).toEqual([0, 61009]);
    // Once for the refresh token, once for the name; the lost token is replaced by one more mint.
    expect(callsSince(platform, INFO, since).length).toBeLessThanOrEqual(2);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
    expect(logged(platform, REFUSED)).toMatchObject([
      { level: 'warn', failure: { errcode: 61009 } },
    ]);
    expect(logged(platform, HEALED)).toMatchObject([{ level: 'warn', authorizer: AUTHORIZER }]);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
    const [kept] = await exchangesKept(platform);
    expect(kept).toMatchObject({ outcome: 'authorized' });
    expect(kept).not.toHaveProperty('code');
    await platform.pass(MINUTE);
    await expectAlive(platform);
    expect(exchangesAsked(platform)).toEqual([0, 61009]);
  });

  it('of an account that was served before: the token that the lost one ended is replaced', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    const before = await read(platform, AUTHORIZED);
    await platform.pass(5 * MINUTE);
    await expectAlive(platform);
    const since = clock.now();
    simulator.addFault({ api: QUERY, afterMint: true, fault: { type: 'reset' } });
    const { code } = simulator.grant(C, AUTHORIZER, { update: true });
    await authorizedEvent(platform, code, { infoType: 'updateauthorized' });
    await platform.settle();
    // WeChat has ended what we hold, and said so to nobody.
    expect(simulator.isLive(AUTHORIZED.kind, before.value ?? '')).toBe(false);
    await secondsUntilAlive(platform, 60);
    expect((clock.now() - since) / 1000).toBeLessThanOrEqual(30);
    expect((await read(platform, AUTHORIZED)).value).not.toBe(before.value);
    expect(logged(platform, HEALED)).toHaveLength(1);
    await platform.pass(MINUTE);
    expect(callsSince(platform, AUTHORIZER_API, since)).toHaveLength(1);
  });

  it('of a redirect: the page waits, and the event that comes late heals it', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    simulator.addFault({ api: QUERY, afterMint: true, fault: { type: 'reset' } });
    // Otherwise WeChat's list heals it first.
    const busy = { type: 'errcode', errcode: -1 } as const;
    simulator.addFault({ api: 'api_get_authorizer_list', times: 'forever', fault: busy });
    const createTime = Math.floor(clock.now() / 1000);
    const { code } = simulator.grant(C, AUTHORIZER);
    const page = await donePage(platform, code, { lang: 'en' });
    const first = opened(platform, page);
    expect(await first).toContain('Your authorization was received');
    await platform.pass(20_000);
    expect(exchangesAsked(platform)).toEqual([0, 61009]);
    // Nobody knows whose code it was, so that WeChat cannot be asked for the refresh token.
    expect(await opened(platform, page)).toMatch(/again/i);
    const kept = await exchangesKept(platform);
    expect(kept).toMatchObject([{ outcome: 'expired', maybe_used: true }]);

    const told = clock.now();
    expect((await authorizedEvent(platform, code, { createTime })).status).toBe(200);
    await platform.settle();
    await secondsUntilAlive(platform, 30);
    expect((clock.now() - told) / 1000).toBeLessThanOrEqual(5);
    expect(logged(platform, HEALED)).toHaveLength(1);
    expect((await authorizationOf(platform)).revoked).toBe(false);
    expect(await opened(platform, page)).toContain('The account is authorized');
  });
});
