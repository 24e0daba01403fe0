import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ApiFaultRule } from '../../src/sandbox/wechat/faults.ts';
import { authorizerToken, revokeAuthorization } from '../../src/store/authorizers/authorization.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { readAuthorizer } from '../../src/store/authorizers/profile.ts';
import { authorizationOf, AUTHORIZED } from '../kit/authorizers.ts';
import { read } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  callsOf,
  INFO_API,
  LIST_API,
  NO_FAULT,
  NO_PROFILES,
  progressOf,
  reconcile,
  said,
} from '../kit/reconciling.ts';
import { passUnanswered } from '../kit/waiting.ts';

const AGAIN = 'the list of authorizers contradicts itself; it is read again';
const TOMORROW =
  'the list of authorizers contradicts itself; nobody was taken for missing, tomorrow it is read again';
const KEPT = 'the list lacks an account that has authorized: it is kept';
const GONE = 'an account has ended its authorization without our hearing of it';
const REFUSED = 'WeChat refuses to list the authorizers: a person should look';
/** Two pages. */
const MANY = 501;

let platform: TestPlatform;
let appids: string[];

beforeEach(async () => {
  platform = await createTestPlatform({ ticket: true });
});
afterEach(() => platform.close());

/** All are known, and authorized a good while ago. */
async function knowing(count: number): Promise<void> {
  appids = platform.simulator.populate(COMPONENT.appid, count);
  // Before they are known, so that no tick mints hundreds of tokens meanwhile.
  platform.clock.sleepThrough(11 * MINUTE);
  platform.simulator.addFault(NO_PROFILES);
  await passUnanswered(platform, 16_000);
  if (count < MANY) platform.simulator.clearFaults();
  expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: count });
}

const progress = () => progressOf(platform);
const faulty = (fault: ApiFaultRule['fault'], times: ApiFaultRule['times'] = 1) =>
  platform.simulator.addFault({ api: LIST_API, times, fault });

async function revoked(): Promise<string[]> {
  const records = await Promise.all(
    appids.map((appid) => readRecord(platform.store, authorizerToken(COMPONENT.appid, appid))),
  );
  return appids.filter((_, index) => records[index]?.revokedAt !== undefined);
}

describe('row 87: a page of the list that does not come', () => {
  it('is asked for again, that page alone, and until then nobody is missing', async () => {
    await knowing(MANY + 1);
    platform.simulator.unauthorize(COMPONENT.appid, appids[0] ?? '');
    const before = callsOf(platform, LIST_API);
    faulty(NO_FAULT);
    faulty({ type: 'errcode', errcode: -1 });
    await reconcile(platform);
    expect(await progress()).toMatchObject({ state: 'waiting', offset: 500, total: MANY });
    expect((await progress()).last_error).toMatch(/./);
    expect(await revoked()).toEqual([]);
    platform.simulator.clearFaults();
    await passUnanswered(platform, 10_000);
    expect(await progress()).toMatchObject({ state: 'done', missing: 1, last_error: null });
    expect(await revoked()).toEqual([appids[0]]);
    // The first page was not asked for again.
    expect(callsOf(platform, LIST_API) - before).toBe(3);
  });

  it('refused: a person is told once, and it is asked for every ten minutes', async () => {
    await knowing(3);
    faulty({ type: 'errcode', errcode: 48001 }, 4);
    const before = callsOf(platform, LIST_API);
    await reconcile(platform);
    await passUnanswered(platform, 25 * MINUTE);
    // Once more within a minute, in case that the refusal passes.
    expect(callsOf(platform, LIST_API) - before).toBe(4);
    expect(said(platform, REFUSED)).toMatchObject([{ level: 'error', component: COMPONENT.appid }]);
    await passUnanswered(platform, 10 * MINUTE);
    expect(await progress()).toMatchObject({ state: 'done' });
  });
});

describe('row 87: a list that contradicts itself', () => {
  it.each<[string, number, () => void, RegExp]>([
    [
      'a page too short',
      3,
      () => faulty({ type: 'patch', fields: { list: [] } }),
      /page at 0 had 0 entries/,
    ],
    [
      'another total on the second page',
      MANY,
      () => {
        faulty(NO_FAULT);
        faulty({ type: 'patch', fields: { total_count: 502 } });
      },
      /total_count went from 501 to 502/,
    ],
    [
      'an account twice',
      3,
      () => {
        const one = { authorizer_appid: appids[0], refresh_token: '', auth_time: 1 };
        faulty({ type: 'patch', fields: { total_count: 2, list: [one, one] } });
      },
      /named an account twice/,
    ],
    [
      'the first page once more in place of the second',
      MANY,
      () => {
        faulty(NO_FAULT);
        const again = { authorizer_appid: appids[0], refresh_token: '', auth_time: 1 };
        faulty({ type: 'patch', fields: { list: [again] } });
      },
      /501 were promised and 500 came/,
    ],
  ])('%s: nobody is missing, and it is read again a minute later', async (_, count, lie, doubt) => {
    await knowing(count);
    lie();
    await reconcile(platform);
    expect(said(platform, AGAIN)).toMatchObject([
      { level: 'warn', doubt: expect.stringMatching(doubt) as string },
    ]);
    expect(await progress()).toMatchObject({ state: 'waiting', offset: 0 });
    expect((await progress()).last_error).toMatch(doubt);
    expect(await revoked()).toEqual([]);
    await passUnanswered(platform, MINUTE);
    expect(await progress()).toMatchObject({ state: 'done', missing: 0, total: count });
  });

  it('four times in a row: what came is kept, and the next day it is read again', async () => {
    await knowing(3);
    const { refreshToken } = platform.simulator.authorize(COMPONENT.appid, AUTHORIZER);
    faulty({ type: 'patch', fields: { total_count: 5 } }, 'forever');
    await reconcile(platform);
    await passUnanswered(platform, 4 * MINUTE);
    expect(said(platform, AGAIN)).toHaveLength(3);
    expect(said(platform, TOMORROW)).toMatchObject([{ level: 'warn' }]);
    expect(await progress()).toMatchObject({ state: 'inconsistent', missing: 0, restored: 1 });
    expect(await authorizationOf(platform)).toMatchObject({ refreshToken });
    expect(await revoked()).toEqual([]);
    const calls = callsOf(platform, LIST_API);
    platform.simulator.clearFaults();
    platform.clock.sleepThrough(22 * HOUR);
    await platform.simulator.pushTicket();
    await passUnanswered(platform, MINUTE);
    expect(callsOf(platform, LIST_API)).toBe(calls);
    platform.clock.sleepThrough(2 * HOUR);
    await platform.simulator.pushTicket();
    await passUnanswered(platform, MINUTE);
    expect(callsOf(platform, LIST_API)).toBe(calls + 1);
    expect(await progress()).toMatchObject({ state: 'done' });
  });
});

describe('accounts that a consistent list lacks', () => {
  it('are asked about one by one, and end when WeChat says so', async () => {
    await knowing(3);
    const [gone = ''] = appids;
    platform.simulator.unauthorize(COMPONENT.appid, gone);
    await reconcile(platform);
    expect(await progress()).toMatchObject({ state: 'done', missing: 1, total: 2 });
    expect(await revoked()).toEqual([gone]);
    expect(said(platform, GONE)).toMatchObject([{ level: 'warn', authorizer: gone }]);
    const id = authorizerToken(COMPONENT.appid, gone);
    expect(await read(platform, id)).toMatchObject({
      status: 410,
      error: { code: 'authorizer_revoked' },
    });
    expect((await readAuthorizer(platform.store, COMPONENT.appid, gone))?.state).toBe('revoked');
    expect((await authorizationOf(platform, id)).lookAt).toBeUndefined();
    // An account that comes back later is taken in again.
    await passUnanswered(platform, MINUTE);
    platform.simulator.authorize(COMPONENT.appid, gone);
    await reconcile(platform);
    expect(await revoked()).toEqual([]);
  });

  it('come back by themselves when WeChat has forgotten them only for a while', async () => {
    await knowing(3);
    const [gone = ''] = appids;
    const id = authorizerToken(COMPONENT.appid, gone);
    // List and account say the same, as when a platform is shut off by mistake.
    faulty({ type: 'patch', fields: { total_count: 0, list: [] } });
    platform.simulator.addFault({
      api: INFO_API,
      times: 3,
      fault: { type: 'errcode', errcode: 61003 },
    });
    await reconcile(platform);
    expect(await revoked()).toEqual(appids);
    expect(await read(platform, id)).toMatchObject({ status: 410 });

    platform.simulator.clearFaults();
    await reconcile(platform);
    expect(await revoked()).toEqual([]);
    await passUnanswered(platform, MINUTE);
    expect(await read(platform, id)).toMatchObject({ status: 200, state: 'fresh' });
    // What WeChat has said in so many words is not undone by a list that is late.
    await revokeAuthorization(platform.store, id, platform.clock.now());
    await reconcile(platform);
    expect(await revoked()).toEqual([gone]);
  });

  it('are kept when WeChat knows them all the same', async () => {
    await knowing(3);
    faulty({ type: 'patch', fields: { total_count: 0, list: [] } });
    const asked = callsOf(platform, INFO_API);
    await reconcile(platform);
    expect(callsOf(platform, INFO_API) - asked).toBe(3);
    expect(said(platform, KEPT)).toHaveLength(3);
    expect(await progress()).toMatchObject({ state: 'done', missing: 0 });
    expect(await revoked()).toEqual([]);
  });

  it('are asked about again when WeChat does not answer, and kept if it never does', async () => {
    await knowing(3);
    faulty({ type: 'patch', fields: { total_count: 0, list: [] } });
    platform.simulator.addFault({
      api: INFO_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: -1 },
    });
    await reconcile(platform);
    expect(await progress()).toMatchObject({ state: 'waiting', missing: 0 });
    await passUnanswered(platform, 15 * MINUTE);
    expect(await progress()).toMatchObject({ state: 'done', missing: 0 });
    expect(await revoked()).toEqual([]);
  });

  it('are not all asked about: a list that lacks too many is wrong', async () => {
    await knowing(60);
    faulty({ type: 'patch', fields: { total_count: 0, list: [] } });
    const asked = callsOf(platform, INFO_API);
    await reconcile(platform);
    await passUnanswered(platform, 10_000);
    expect(callsOf(platform, INFO_API) - asked).toBe(21);
    expect(await progress()).toMatchObject({ state: 'waiting', missing: 0 });
    expect((await progress()).last_error).toMatch(/lacks 21 accounts that have authorized/);
    await passUnanswered(platform, MINUTE);
    expect(await progress()).toMatchObject({ state: 'done', total: 60, missing: 0 });
  });

  it('are left alone when they authorized just now', async () => {
    await knowing(1);
    platform.simulator.authorize(COMPONENT.appid, AUTHORIZER);
    await reconcile(platform);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    const asked = callsOf(platform, INFO_API);
    const [listed = ''] = appids;
    const { refreshToken } = await readRecord(
      platform.store,
      authorizerToken(COMPONENT.appid, listed),
    );
    const list = [{ authorizer_appid: listed, refresh_token: refreshToken, auth_time: 1 }];
    faulty({ type: 'patch', fields: { total_count: 1, list } });
    await reconcile(platform);
    expect(callsOf(platform, INFO_API) - asked).toBeLessThanOrEqual(1);
    expect(said(platform, KEPT)).toEqual([]);
    expect(await authorizationOf(platform)).toMatchObject({ revoked: false });
  });
});
