import { afterEach, describe, expect, it } from 'vitest';
import { openExchanges } from '../../src/store/authorizers/code-exchange.ts';
import { authorizationOf, AUTHORIZED, AUTHORIZER_API } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked } from '../kit/authorizing.ts';
import { callsSince, logged, read } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';

/** WeChat says twice that an account has authorized, and either may be lost. */

const C = COMPONENT.appid;
let platform: TestPlatform;
afterEach(async () => platform.close());

/** Everybody gets WeChat's newest token, and the refresh token that works is the stored one. */
async function expectAuthorized(): Promise<void> {
  const { simulator, redis, keys, store } = platform;
  const newest = simulator.latestMint('authorizer_access_token', AUTHORIZER)?.value ?? '';
  expect(simulator.isLive('authorizer_access_token', newest)).toBe(true);
  expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, value: newest });
  expect(await redis.get(keys.mirror(AUTHORIZED))).toBe(newest);
  const { refreshToken, lookAt } = await authorizationOf(platform);
  expect(refreshToken).toBe(simulator.refreshTokenOf(C, AUTHORIZER));
  expect(lookAt).toBeGreaterThan(platform.clock.now());
  expect(await openExchanges(store, C)).toEqual([]);
  const exchanges = await redis.hvals(keys.exchanges(C));
  expect(exchanges.join()).not.toContain('queryauthcode');
}

type Way = 'redirect' | 'event';
interface Story {
  name: string;
  ways: Way[][];
  twoCodes?: boolean;
  /** What WeChat says to the exchanges, in order. */
  asked: (number | null)[];
  busy?: number;
}

/** Each list is what comes at the same moment. */
const STORIES: Story[] = [
  { name: 'redirect first', ways: [['redirect'], ['event']], asked: [0] },
  { name: 'event first', ways: [['event'], ['redirect']], asked: [0] },
  { name: 'both at once', ways: [['redirect', 'event']], asked: [0] },
  { name: 'event lost', ways: [['redirect']], asked: [0] },
  { name: 'redirect lost', ways: [['event']], asked: [0] },
  { name: 'event twice', ways: [['event'], ['event']], asked: [0] },
  { name: 'page loaded again', ways: [['redirect'], ['redirect'], ['redirect']], asked: [0] },
  { name: 'WeChat busy three times', ways: [['event']], busy: 3, asked: [-1, -1, -1, 0] },
  { name: 'busy, both', ways: [['redirect', 'event']], busy: 3, asked: [-1, -1, -1, 0] },
  { name: 'redirect first, own code', ways: [['redirect'], ['event']], twoCodes: true, asked: [0] },
  { name: 'event first, own code', ways: [['event'], ['redirect']], twoCodes: true, asked: [0, 0] },
];

describe('an authorization', () => {
  it.each(STORIES)('$name: the right token in the end', async (story) => {
    platform = await createTestPlatform({ ticket: true, links: true });
    const { simulator, clock, redis, keys } = platform;
    const since = clock.now();
    const granted = simulator.grant(C, AUTHORIZER, { twoCodes: story.twoCodes });
    if (story.busy !== undefined) {
      const fault = { type: 'errcode', errcode: -1 } as const;
      simulator.addFault({ api: 'api_query_auth', times: story.busy, fault });
    }
    const redirect = await donePage(platform, granted.redirectCode);
    const createTime = Math.floor(since / 1000);
    const come: Record<Way, () => Promise<{ status: number | null }>> = {
      redirect,
      event: () => authorizedEvent(platform, granted.eventCode, { createTime }),
    };
    for (const together of story.ways) {
      const answers = together.map((way) => come[way]());
      if (together.includes('event')) await answers[together.indexOf('event')];
      else await Promise.all(answers);
      await platform.settle();
      await platform.pass(15_000);
      for (const { status } of await Promise.all(answers)) expect(status).toBe(200);
    }
    await platform.pass(MINUTE);
    expect(exchangesAsked(platform)).toEqual(story.asked);
    // The token that came with the exchange is the one that is served: nothing was minted beside it.
    expect(callsSince(platform, AUTHORIZER_API, since)).toEqual([]);
    await expectAuthorized();
    const entry = JSON.parse((await redis.hget(keys.authorizers(C), AUTHORIZER)) ?? '{}') as object;
    expect(entry).toMatchObject({ state: 'authorized', type: 'official_account' });
  });

  it('whose code has expired is told to begin anew, and nothing is served', async () => {
    platform = await createTestPlatform({ ticket: true, links: true });
    const { simulator } = platform;
    const { code } = simulator.grant(C, AUTHORIZER);
    const createTime = Math.floor(platform.clock.now() / 1000);
    await platform.pass(11 * MINUTE);
    expect((await authorizedEvent(platform, code, { createTime })).status).toBe(200);
    const page = (await donePage(platform, code, { lang: 'en' }))();
    await platform.settle();
    await platform.pass(MINUTE);
    expect(exchangesAsked(platform)).toEqual([61010]);
    expect(await (await page).text()).toMatch(/again/i);
    expect(
      logged(platform, 'an authorization code was lost: the account must authorize again'),
    ).toMatchObject([{ level: 'error', component: C, authorizer: AUTHORIZER }]);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 404 });
    expect(await openExchanges(platform.store, C)).toEqual([]);

    const again = simulator.grant(C, AUTHORIZER);
    await authorizedEvent(platform, again.code);
    await platform.settle();
    await expectAuthorized();
  });

  it('anew replaces the former one, whichever way it comes', async () => {
    platform = await createTestPlatform({ ticket: true, links: true });
    const { simulator } = platform;
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code);
    await platform.settle();
    await expectAuthorized();
    const first = await read(platform, AUTHORIZED);
    await platform.pass(5 * MINUTE);
    const page = await donePage(platform, simulator.grant(C, AUTHORIZER).code);
    expect((await page()).status).toBe(200);
    await platform.settle();
    await platform.pass(15_000);
    await expectAuthorized();
    const second = await read(platform, AUTHORIZED);
    expect(second.seq).toBeGreaterThan(first.seq ?? 0);
    await platform.pass(MINUTE);
    const { code } = simulator.grant(C, AUTHORIZER, { update: true });
    await authorizedEvent(platform, code, { infoType: 'updateauthorized' });
    await platform.settle();
    await platform.pass(15_000);
    await expectAuthorized();
    expect(exchangesAsked(platform)).toEqual([0, 0, 0]);
  });

  it('uses a code up, so the pooled pre_auth_code is replaced', async () => {
    platform = await createTestPlatform({ ticket: true, links: true });
    const { simulator, redis, keys, clock } = platform;
    const id = { kind: 'pre_auth_code', subject: C } as const;
    const pooled = (await redis.get(keys.mirror(id))) ?? '';
    const { code } = simulator.grant(C, AUTHORIZER, { preAuthCode: pooled });
    await simulator.pushAuthorized(C, AUTHORIZER, code, { preAuthCode: pooled });
    await platform.settle();
    const next = (await redis.get(keys.mirror(id))) ?? '';
    expect(next).not.toBe(pooled);
    expect(simulator.isLive('pre_auth_code', next, clock.now())).toBe(true);
    // Somebody else's code is no reason to throw ours away.
    await simulator.pushAuthorized(C, AUTHORIZER, code, { preAuthCode: 'preauthcode@@@other' });
    await platform.settle();
    expect(await redis.get(keys.mirror(id))).toBe(next);
  });
});
