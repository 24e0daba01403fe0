import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedisServer, type RedisServer } from '../../src/sandbox/redis/launch.ts';
import {
  awaitReauthorization,
  grantAuthorization,
  replaceRefreshToken,
  revokeAuthorization,
} from '../../src/store/authorizers/authorization.ts';
import { readRecord } from '../../src/store/credentials/record.ts';
import { authorize, AUTHORIZED, AUTHORIZER_API } from '../kit/authorizers.ts';
import { expectServed } from '../kit/expect.ts';
import { logged } from '../kit/observe.ts';
import { createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { readiness } from '../kit/redis-trouble.ts';
import { FAILED, NEEDS_PERSON } from '../kit/scenario.ts';
import { createTestStore, mintSteps, type TestStore } from '../kit/store.ts';
import { POLLING } from '../kit/waiting.ts';

describe('row 127: a mint whose value is not taken, and the refresh token that it brought', () => {
  let store: TestStore;
  beforeEach(async () => {
    store = createTestStore();
    await grantAuthorization(store, AUTHORIZED, { refreshToken: 'first', authorizedAt: 1_000 });
  });
  afterEach(() => store.close());
  const { granted, commit, mint } = mintSteps(() => store, AUTHORIZED);
  const record = () => readRecord(store, AUTHORIZED);

  /** What a process knows that begins a mint now. */
  async function begun(operation: string) {
    const { seq, authEpoch, storedRefreshToken } = await record();
    const begin = await granted(operation, { judgedSeq: seq, needed: true });
    const more = { authEpoch, sentRefreshToken: storedRefreshToken, refreshToken: 'second' };
    return (value: string) => commit(operation, begin, value, more);
  }

  it('is kept when another mint overlapped this one', async () => {
    const slow = await begun('slow');
    await store.clock.advance(20_000);
    const { authEpoch } = await record();
    await mint('quick', 'of quick', 0, { authEpoch }).catch(() => undefined);
    const quick = await granted('quicker', { judgedSeq: (await record()).seq, needed: true });
    await commit('quicker', quick, 'of quicker', { authEpoch });
    expect(await slow('of slow')).toMatchObject({ outcome: 'overlapped' });
    expect(await record()).toMatchObject({ refreshToken: 'second', suspect: true });
    expect((await record()).value).not.toBe('of slow');
  });

  it('is kept when the account authorized once more under the same refresh token', async () => {
    const late = await begun('late');
    await grantAuthorization(store, AUTHORIZED, { refreshToken: undefined, authorizedAt: 2_000 });
    expect(await late('of late')).toMatchObject({ outcome: 'superseded' });
    expect(await record()).toMatchObject({ refreshToken: 'second', value: undefined });
  });

  it('is not kept when another refresh token has come', async () => {
    const late = await begun('late');
    await grantAuthorization(store, AUTHORIZED, { refreshToken: 'other', authorizedAt: 2_000 });
    expect(await late('of late')).toMatchObject({ outcome: 'superseded' });
    expect(await record()).toMatchObject({ refreshToken: 'other' });
  });

  it('is not kept when the account has ended its authorization', async () => {
    const late = await begun('late');
    await revokeAuthorization(store, AUTHORIZED, 2_000);
    expect(await late('of late')).toMatchObject({ outcome: 'superseded' });
    expect(await record()).toMatchObject({ refreshToken: undefined, revokedAt: 2_000 });
  });

  it('is not overwritten by what WeChat said about the one before', async () => {
    const before = await record();
    await (
      await begun('on time')
    )('value');
    expect(await replaceRefreshToken(store, AUTHORIZED, 'named', before)).toBe(false);
    expect(await awaitReauthorization(store, AUTHORIZED, before)).toBe(false);
    expect(await record()).toMatchObject({ refreshToken: 'second', reauthorizeAt: undefined });
  });
});

describe('row 127: Redis dies when the next refresh token is to be stored', () => {
  let server: RedisServer;
  let platform: TestPlatform;
  const calls = () =>
    platform.simulator.ledger.calls.filter(({ api }) => api === AUTHORIZER_API).length;
  const refused = () =>
    [...logged(platform, FAILED), ...logged(platform, NEEDS_PERSON)].filter(({ failure }) =>
      JSON.stringify(failure).includes('61023'),
    );

  async function dieAtCommit(options: { appendOnly: boolean; env?: Record<string, string> }) {
    const { env = {}, appendOnly } = options;
    server = await startRedisServer({ appendOnly });
    platform = await createTestPlatform({ redisUrl: server.url, env });
    platform.redis.on('error', () => undefined);
    await platform.simulator.pushTicket();
    await platform.settle();
    await authorize(platform, AUTHORIZED, { rotating: true });
    await platform.app.keeper.ensureFresh(AUTHORIZED, 'patrol');
    await platform.skip(104 * MINUTE);
    const before = calls();
    const fault = { type: 'delay', ms: 1_500 } as const;
    platform.simulator.addFault({ api: AUTHORIZER_API, afterMint: true, fault });
    await vi.waitFor(async () => {
      await platform.clock.advance(1_000);
      expect(calls()).toBe(before + 1);
    }, POLLING);
    await server.kill();
    await platform.clock.advance(1_500);
    const notYet = 'a minted value could not be stored yet';
    await vi.waitFor(() => expect(logged(platform, notYet).length).toBeGreaterThan(0), POLLING);
  }
  afterEach(async () => {
    await platform.close();
    await server.stop();
  });

  /** Whatever was lost, the one that WeChat takes was not. */
  async function expectToGoOn() {
    // Without settling: a commit that is tried again waits for the clock.
    await vi.waitFor(async () => {
      await platform.clock.advance(1_000);
      expect(await readiness(platform)).toBe(200);
      const { value } = await readRecord(platform.store, AUTHORIZED);
      expect(platform.simulator.isLive(AUTHORIZED.kind, value ?? '')).toBe(true);
    }, POLLING);
    // The quarantine, and a round of the patrols.
    await platform.pass(MINUTE);
    const { seq } = await readRecord(platform.store, AUTHORIZED);
    await expectServed(platform, { seq });
    expect(refused()).toEqual([]);
  }

  it('and is back within the time of the lock', async () => {
    await dieAtCommit({ appendOnly: true });
    await server.start();
    await expectToGoOn();
  });

  it('and stays away for longer: this process still knows it', async () => {
    await dieAtCommit({ appendOnly: true });
    const lost = 'a minted value could not be stored and is lost';
    await vi.waitFor(async () => {
      await platform.clock.advance(1_000);
      expect(logged(platform, lost)).toHaveLength(1);
    }, POLLING);
    await server.start();
    await expectToGoOn();
    const stored = 'a refresh token that could not be stored at once is stored now';
    expect(logged(platform, stored)).toHaveLength(1);
  });

  it('and comes back empty, with sealed tokens', async () => {
    const env = { REFRESH_TOKEN_KEYS: `one:${Buffer.alloc(32, 7).toString('base64')}` };
    await dieAtCommit({ appendOnly: false, env });
    await server.start();
    await expectToGoOn();
  });
});
