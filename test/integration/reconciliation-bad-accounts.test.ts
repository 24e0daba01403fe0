import { Redis } from 'ioredis';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { readAuthorizers } from '../../src/store/authorizers/profile.ts';
import { callsSince } from '../kit/observe.ts';
import { COMPONENT, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { INFO_API, LIST_API, progressOf, reconcile } from '../kit/reconciling.ts';
import { passUnanswered } from '../kit/waiting.ts';

let platform: TestPlatform;
afterEach(async () => {
  vi.restoreAllMocks();
  await platform.close();
});
const entries = (appids: readonly string[]) =>
  readAuthorizers(platform.store, COMPONENT.appid, appids);

/** Redis refuses every script that would write under these names, as it refuses what it cannot read. */
function refuseWriting(matches: (keys: string[], args: string[]) => boolean) {
  for (const method of ['evalsha', 'eval'] as const) {
    const real = Redis.prototype[method] as (...args: unknown[]) => Promise<unknown>;
    vi.spyOn(Redis.prototype, method).mockImplementation(function (this: Redis, ...all) {
      const [, count, ...rest] = all as [string, number, ...string[]];
      if (!matches(rest.slice(0, count), rest.slice(count).map(String)))
        return real.apply(this, all);
      const error = new Error('ERR user_script: refused for this test');
      error.name = 'ReplyError';
      return Promise.reject(error);
    });
  }
}

describe('row 109: one account whose texts or records Redis does not take', () => {
  it('has half an emoji in its names: they are stored well-formed, and the others beside it', async () => {
    platform = await createTestPlatform({ ticket: true });
    const appids = platform.simulator.populate(COMPONENT.appid, 7);
    const half = {
      nick_name: 'Shop \ud83d',
      user_name: '\ude00gh',
      alias: '\ud83d',
      signature: '\ud83d\ude00',
      principal_name: 'Ltd \ude00',
      head_img: 'http://\ud83d',
      service_type_info: { id: 2 },
    };
    platform.simulator.addFault({
      api: INFO_API,
      fault: { type: 'patch', fields: { authorizer_info: half } },
    });
    await reconcile(platform);
    await passUnanswered(platform, 2 * MINUTE);
    const known = [...(await entries(appids)).values()];
    expect(known).toHaveLength(7);
    for (const one of known) expect(one.profileAt).toBeDefined();
    expect(known.filter(({ nickName }) => nickName === 'Shop \uFFFD')).toMatchObject([
      { userName: '\uFFFDgh', alias: '\uFFFD', signature: '😀', principalName: 'Ltd \uFFFD' },
    ]);
    expect(callsSince(platform, INFO_API, 0)).toHaveLength(7);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', last_error: null });
  });

  it('has a profile that Redis refuses: it is asked for once in a run, and the others are there', async () => {
    platform = await createTestPlatform({ ticket: true });
    const appids = platform.simulator.populate(COMPONENT.appid, 12);
    const bad = appids[3] ?? '';
    refuseWriting((_keys, args) => args[0] === bad && (args[1] ?? '').includes('nick_name'));
    await reconcile(platform);
    await passUnanswered(platform, 10 * MINUTE);
    const known = await entries(appids);
    for (const appid of appids) {
      expect(known.get(appid)?.profileAt === undefined).toBe(appid === bad);
    }
    expect(callsSince(platform, INFO_API, 0)).toHaveLength(12);
    expect(callsSince(platform, LIST_API, 0).length).toBeLessThanOrEqual(2);
  });

  it('has a record that Redis refuses: its page goes on with the others, and the run ends', async () => {
    platform = await createTestPlatform({ ticket: true });
    const appids = platform.simulator.populate(COMPONENT.appid, 12);
    const bad = appids[3] ?? '';
    const key = platform.keys.record(authorizerToken(COMPONENT.appid, bad));
    refuseWriting((keys) => keys[0] === key);
    await reconcile(platform);
    await passUnanswered(platform, 10 * MINUTE);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: 11 });
    const known = await entries(appids);
    expect([...known.keys()].sort()).toEqual(appids.filter((one) => one !== bad).sort());
    expect(callsSince(platform, LIST_API, 0).length).toBeLessThanOrEqual(2);
  });

  it('is everybody, because Redis takes no writes: WeChat is not asked in vain', async () => {
    platform = await createTestPlatform({ ticket: true });
    platform.simulator.populate(COMPONENT.appid, 12);
    await passUnanswered(platform, MINUTE);
    const since = platform.clock.now();
    await platform.internal(`/v1/components/${COMPONENT.appid}/reconcile`, { method: 'POST' });
    refuseWriting((keys) => keys.some((one) => one.includes('econcil') && !one.includes('lease')));
    await passUnanswered(platform, 10 * MINUTE);
    expect(callsSince(platform, LIST_API, since).length).toBeLessThanOrEqual(1);
    expect(callsSince(platform, INFO_API, since).length).toBeLessThanOrEqual(5);
  });
});
