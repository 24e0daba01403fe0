import { afterEach, describe, expect, it } from 'vitest';
import { jitterOf } from '../../src/authorizers/reconciliation/rules.ts';
import {
  authorizerToken,
  awaitReauthorization,
  revokeAuthorization,
} from '../../src/store/authorizers/authorization.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { readAuthorizer } from '../../src/store/authorizers/profile.ts';
import { authorizationOf, authorize, AUTHORIZED } from '../kit/authorizers.ts';
import { read } from '../kit/observe.ts';
import {
  AUTHORIZER,
  COMPONENT,
  createTestPlatform,
  HOUR,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import {
  callsOf,
  INFO_API,
  LIST_API,
  listedAtWechat,
  progressOf,
  reconcile,
  said,
} from '../kit/reconciling.ts';
import { passUnanswered } from '../kit/waiting.ts';

const NUMBER: unknown = expect.any(Number);
const BEGUN = 'reading the list of authorizers';
const READ = 'the list of authorizers was read';

let platform: TestPlatform;
afterEach(() => platform.close());

async function begin(): Promise<void> {
  platform = await createTestPlatform({ ticket: true });
}

/** A first run is over, and nothing is due. */
async function beginAfterRun(): Promise<void> {
  await begin();
  await passUnanswered(platform, 20_000);
  expect(await progressOf(platform)).toMatchObject({ state: 'done', cause: 'first' });
}

const id = (appid: string) => authorizerToken(COMPONENT.appid, appid);
const record = (appid = AUTHORIZER) => readRecord(platform.store, id(appid));
const entry = (appid = AUTHORIZER) => readAuthorizer(platform.store, COMPONENT.appid, appid);

describe('a Redis that knows nobody', () => {
  it('has every refresh token of 600 accounts back by itself, at the cost of two calls', async () => {
    await begin();
    const appids = platform.simulator.populate(COMPONENT.appid, 600);
    expect(await progressOf(platform)).toMatchObject({ state: 'never', total: null });
    await passUnanswered(platform, 16_000);
    expect(callsOf(platform, LIST_API)).toBe(2);
    const listed = await listedAtWechat(platform);
    for (const appid of appids) {
      expect((await record(appid)).refreshToken).toBe(listed.get(appid));
    }
    expect(await progressOf(platform)).toMatchObject({
      state: 'done',
      cause: 'first',
      offset: 600,
      total: 600,
      restored: 600,
      missing: 0,
      calls: 2,
      last_error: null,
      requested_at: null,
    });
    expect(said(platform, READ)).toMatchObject([
      { level: 'info', cause: 'first', total: 600, restored: 600, calls: 2, failed: 0 },
    ]);
  });

  it('has names and live tokens for all without anybody asking', async () => {
    await begin();
    const appids = platform.simulator.populate(COMPONENT.appid, 12);
    await passUnanswered(platform, 10 * MINUTE);
    expect(callsOf(platform, INFO_API)).toBe(12);
    for (const appid of appids) {
      expect(await entry(appid)).toMatchObject({ state: 'authorized', profileAt: NUMBER });
      expect(await read(platform, id(appid))).toMatchObject({ status: 200, state: 'fresh' });
    }
    expect(await progressOf(platform)).toMatchObject({ state: 'done', calls: 1 });
  });

  it('is asked about only when there is a token to ask WeChat with', async () => {
    platform = await createTestPlatform();
    platform.simulator.addFault(NO_PUSHES_ON_REQUEST);
    platform.simulator.populate(COMPONENT.appid, 3);
    await passUnanswered(platform, 5 * MINUTE);
    expect(callsOf(platform, LIST_API)).toBe(0);
    expect(await progressOf(platform)).toMatchObject({ state: 'never', last_error: null });
    expect(said(platform, BEGUN)).toEqual([]);
    await platform.simulator.pushTicket();
    await passUnanswered(platform, 16_000);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: 3 });
  });
});

describe('row 72: an authorization of which no event came', () => {
  it('is found within the day, at the moment that is this component’s own', async () => {
    await beginAfterRun();
    const { refreshToken } = platform.simulator.authorize(COMPONENT.appid, AUTHORIZER);
    expect((await read(platform, AUTHORIZED)).status).toBe(404);
    const day = 24 * HOUR + jitterOf(COMPONENT.appid);
    platform.clock.sleepThrough(day - 2 * MINUTE);
    await platform.simulator.pushTicket();
    await passUnanswered(platform, MINUTE);
    expect(callsOf(platform, LIST_API)).toBe(1);
    await passUnanswered(platform, MINUTE);
    expect(callsOf(platform, LIST_API)).toBe(2);
    expect(await progressOf(platform)).toMatchObject({
      state: 'done',
      cause: 'daily',
      restored: 1,
    });
    expect(await authorizationOf(platform)).toMatchObject({ refreshToken, revoked: false });
    await passUnanswered(platform, 10 * MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
    expect(await entry()).toMatchObject({ state: 'authorized', profileAt: NUMBER });
  });
});

describe('what the list changes of what is known', () => {
  it('nothing, when nothing is amiss', async () => {
    await beginAfterRun();
    await authorize(platform);
    await platform.app.keeper.ensureFresh(AUTHORIZED, 'patrol');
    await reconcile(platform);
    const before = await platform.redis.hgetall(platform.keys.record(AUTHORIZED));
    await reconcile(platform);
    expect(await platform.redis.hgetall(platform.keys.record(AUTHORIZED))).toEqual(before);
    expect(await progressOf(platform)).toMatchObject({ cause: 'request', restored: 0, total: 1 });
  });

  it('a lost refresh token comes back, and the live access token stays', async () => {
    await beginAfterRun();
    const refreshToken = await authorize(platform);
    await platform.app.keeper.ensureFresh(AUTHORIZED, 'patrol');
    const { value } = await record();
    await platform.redis.hdel(platform.keys.record(AUTHORIZED), 'refresh_token');
    await reconcile(platform);
    expect(await record()).toMatchObject({ refreshToken, value });
    expect(await progressOf(platform)).toMatchObject({ restored: 1 });
  });

  it('a newer authorization takes the place of ours', async () => {
    await beginAfterRun();
    await authorize(platform);
    await platform.app.keeper.ensureFresh(AUTHORIZED, 'patrol');
    await passUnanswered(platform, MINUTE);
    const { refreshToken } = platform.simulator.authorize(COMPONENT.appid, AUTHORIZER);
    await reconcile(platform);
    expect(await record()).toMatchObject({ refreshToken, value: undefined });
    await passUnanswered(platform, 10 * MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
  });

  it('a refresh token that changed with its last use is not put back', async () => {
    await beginAfterRun();
    await authorize(platform, AUTHORIZED, { rotating: true });
    const listed = JSON.stringify({
      total_count: 1,
      list: [
        {
          authorizer_appid: AUTHORIZER,
          refresh_token: (await record()).refreshToken,
          auth_time: Math.floor(platform.clock.now() / 1000) + 5,
        },
      ],
    });
    await passUnanswered(platform, MINUTE);
    await platform.app.keeper.ensureFresh(AUTHORIZED, 'patrol');
    const before = await record();
    platform.simulator.addFault({ api: LIST_API, fault: { type: 'body', body: listed } });
    await reconcile(platform);
    expect(await record()).toMatchObject({
      refreshToken: before.refreshToken,
      value: before.value,
    });
    expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: 0 });
  });

  it('a revocation that is later than the listed authorization stands', async () => {
    await beginAfterRun();
    await authorize(platform);
    await passUnanswered(platform, MINUTE);
    await revokeAuthorization(platform.store, AUTHORIZED, platform.clock.now());
    await reconcile(platform);
    expect(await record()).toMatchObject({ refreshToken: undefined });
    expect((await read(platform, AUTHORIZED)).status).toBe(410);
  });

  it('a sealed refresh token that cannot be opened is not overwritten', async () => {
    await beginAfterRun();
    await authorize(platform);
    const key = platform.keys.record(AUTHORIZED);
    await platform.redis.hset(key, 'refresh_token', 'sealed:v1:other:AAAA');
    const { unreadableRefreshToken } = await record();
    expect(unreadableRefreshToken).toBeDefined();
    await reconcile(platform);
    expect((await record()).unreadableRefreshToken).toBe(unreadableRefreshToken);
  });

  it('who is missing in the index of what is due gets back in', async () => {
    await beginAfterRun();
    await authorize(platform);
    const due = platform.keys.due(AUTHORIZED.kind, COMPONENT.appid);
    await platform.redis.del(due);
    await reconcile(platform);
    expect(await platform.redis.zscore(due, AUTHORIZER)).not.toBeNull();
  });

  it('a record that somebody spoiled begins anew, and does not stop the others', async () => {
    await beginAfterRun();
    const appids = platform.simulator.populate(COMPONENT.appid, 3);
    await platform.redis.set(platform.keys.record(id(appids[1] ?? '')), 'by hand');
    await reconcile(platform);
    expect(await progressOf(platform)).toMatchObject({ state: 'done', restored: 3 });
    expect((await record(appids[1])).refreshToken).toBeDefined();
  });

  it('an account whose code was never exchanged is shown as such', async () => {
    await beginAfterRun();
    platform.simulator.grant(COMPONENT.appid, AUTHORIZER);
    await reconcile(platform);
    expect(await entry()).toMatchObject({ state: 'unexchanged' });
    expect((await record()).authorizedAt).toBeUndefined();
  });
});

describe('row 43: an account that WeChat wanted to authorize again', () => {
  it('comes back when WeChat lists its refresh token', async () => {
    await beginAfterRun();
    await authorize(platform);
    await awaitReauthorization(platform.store, AUTHORIZED, await record());
    expect((await read(platform, AUTHORIZED)).status).toBe(410);
    await reconcile(platform);
    expect(await authorizationOf(platform)).toMatchObject({ awaitsReauthorization: false });
    await passUnanswered(platform, 10 * MINUTE);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200, state: 'fresh' });
    expect(await entry()).toMatchObject({ state: 'authorized' });
  });
});
