import { afterEach, describe, expect, it, vi } from 'vitest';
import { authorizerToken } from '../../src/store/authorizers/authorization.ts';
import { addExchange, openExchanges } from '../../src/store/authorizers/code-exchange.ts';
import { AUTHORIZED, mintsFor } from '../kit/authorizers.ts';
import { authorizedEvent, donePage, exchangesAsked, startLink } from '../kit/authorizing.ts';
import {
  accountOf,
  C,
  createExchanger,
  entryOf,
  EXCHANGED,
  exchangesKept,
  INFO,
  QUERY,
  REFUSED,
  secondsUntilAlive,
} from '../kit/exchanging.ts';
import { expectAlive } from '../kit/expect.ts';
import { callsSince, gaps, logged, read } from '../kit/observe.ts';
import { AUTHORIZER, createTestPlatform, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { POLLING } from '../kit/waiting.ts';

let platform: TestPlatform;
afterEach(async () => platform.close());

/** Milliseconds that WeChat takes for an exchange. */
const SLOW_MS = 300;
const slowly = () =>
  platform.simulator.addFault({
    api: QUERY,
    times: 'forever',
    fault: { type: 'delay', ms: SLOW_MS },
  });

/** What the merchant's browser reads in the end, whose pages reach these ports in the same moment. */
async function openedAt(code: string, ports: readonly number[]): Promise<string[]> {
  const link = await startLink(platform, { lang: 'en' });
  const path = `/authorize/${C}/done?${link}&auth_code=${encodeURIComponent(code)}&expires_in=600`;
  const texts: string[] = [];
  const loading = ports.map(async (port) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' });
    texts.push(await answer.text());
  });
  // Not `pass`, which would wait for a call that waits for time.
  await vi.waitFor(async () => {
    if (texts.length < ports.length) await platform.clock.advance(50);
    expect(texts).toHaveLength(ports.length);
  }, POLLING);
  await Promise.all(loading);
  return texts;
}

describe('row 88: two replicas get the same code in the same moment', () => {
  it('it is exchanged once, and each page says so', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    const other = await platform.addReplica();
    await platform.settle();
    slowly();
    const { code } = simulator.grant(C, AUTHORIZER);
    const since = clock.now();
    const [here, there] = [platform.app.publicPort(), other.publicPort()];
    const texts = openedAt(code, [here, there, here, there, here, there]);
    expect((await authorizedEvent(platform, code)).status).toBe(200);
    for (const text of await texts) expect(text).toContain('The account is authorized');
    await platform.pass(MINUTE);
    expect(callsSince(platform, QUERY, since)).toHaveLength(1);
    expect(exchangesAsked(platform)).toEqual([0]);
    expect(logged(platform, EXCHANGED)).toHaveLength(1);
    expect(await exchangesKept(platform)).toHaveLength(1);
    await expectAlive(platform);
    expect(mintsFor(platform)).toHaveLength(1);
  });

  it('different codes of one account: one after the other, and the last token is served', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    const other = await platform.addReplica();
    await platform.settle();
    slowly();
    const granted = simulator.grant(C, AUTHORIZER, { twoCodes: true });
    const since = clock.now();
    const createTime = Math.floor(since / 1000);
    const texts = openedAt(granted.redirectCode, [other.publicPort()]);
    await authorizedEvent(platform, granted.eventCode, { createTime });
    expect((await texts)[0]).toContain('The account is authorized');
    await platform.pass(MINUTE);
    const asked = callsSince(platform, QUERY, since);
    for (const gap of gaps(asked)) expect(Math.round(gap * 1000)).toBeGreaterThanOrEqual(SLOW_MS);
    expect(asked.length).toBeLessThanOrEqual(2);
    expect((await exchangesKept(platform)).map(({ outcome }) => outcome)).toEqual([
      'authorized',
      'authorized',
    ]);
    await expectAlive(platform);
  });
});

describe('row 88: fifty accounts authorize within one second', () => {
  it('all are served, one exchange after the other', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    await platform.addReplica();
    await platform.settle();
    slowly();
    const accounts = Array.from({ length: 50 }, (_, index) => accountOf(index));
    const since = clock.now();
    const pushes = accounts.map((account) => {
      const { code } = simulator.grant(C, account);
      return simulator.pushAuthorized(C, account, code);
    });
    for (const { status } of await Promise.all(pushes)) expect(status).toBe(200);
    expect(await exchangesKept(platform)).toHaveLength(50);
    await vi.waitFor(async () => {
      await clock.advance(SLOW_MS / 2);
      expect(exchangesAsked(platform)).toHaveLength(50);
    }, POLLING);
    await platform.pass(1_000);
    const took = (clock.now() - since) / 1000;
    const asked = callsSince(platform, QUERY, since);
    // Never two in flight.
    for (const gap of gaps(asked)) expect(Math.round(gap * 1000)).toBeGreaterThanOrEqual(SLOW_MS);
    expect(took).toBeLessThanOrEqual(60);
    expect(exchangesAsked(platform)).toEqual(Array.from({ length: 50 }, () => 0));
    const statuses = await Promise.all(
      accounts.map(async (account) => {
        const id = authorizerToken(C, account);
        const path = `/v1/credentials/${id.kind}/${id.subject}`;
        const answer = await platform.internal(path);
        const { value } = (await answer.json()) as { value: string };
        return answer.status === 200 && simulator.isLive(id.kind, value);
      }),
    );
    expect(statuses).toEqual(accounts.map(() => true));
    expect(logged(platform, EXCHANGED)).toHaveLength(50);
    expect(callsSince(platform, INFO, since).length).toBeGreaterThanOrEqual(50);
    for (const account of accounts) {
      expect(await entryOf(platform, account)).toMatchObject({ state: 'authorized' });
    }
  });
});

describe('row 153: a link brings codes that are none', () => {
  it('whoever came by another link waits for one of them, and not for all', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock, store } = platform;
    slowly();
    const { authorizations, logs } = createExchanger(platform, 'never');
    const expiresAt = clock.now() + 10 * MINUTE;
    const bring = (id: string, code: string) => {
      const link = { id, state: undefined, expiresAt };
      return addExchange(store, C, { code, authorizedAt: clock.now(), expiresAt, link });
    };
    const called = () => platform.simulator.ledger.calls.filter(({ api }) => api === QUERY);
    const afterCalls = (count: number) =>
      vi.waitFor(async () => {
        if (called().length < count) await clock.advance(50);
        expect(called().length).toBeGreaterThanOrEqual(count);
      }, POLLING);
    for (let number = 0; number < 8; number += 1) await bring('evil', `made-up-${number}`);
    await clock.advance(1_000);
    await bring('honest', simulator.grant(C, accountOf(1)).code);
    const working = authorizations.work(C);
    await afterCalls(4);
    // And so does who comes while they are tried.
    const { code } = simulator.grant(C, accountOf(2));
    const late = authorizations.takeCode(C, code, 600, { id: 'late', state: undefined, expiresAt });
    // The call under way must not end before that: a busy machine takes its time.
    await vi.waitFor(async () => {
      expect(await openExchanges(store, C)).toContainEqual(expect.objectContaining({ code }));
    }, POLLING);
    let calls: number | undefined;
    void late.then(() => (calls = called().length));
    await vi.waitFor(async () => {
      await clock.advance(50);
      expect(calls).toBeDefined();
    }, POLLING);
    expect(await late).toEqual({ did: 'authorized', authorizer: accountOf(2) });
    // The page does not wait for the others either: two more at the most, between two looks.
    expect(calls).toBeLessThanOrEqual(7);
    await vi.waitFor(async () => {
      await clock.advance(50);
      expect(await openExchanges(store, C)).toEqual([]);
    }, POLLING);
    await working;
    const results = exchangesAsked(platform);
    expect(results.indexOf(0)).toBeLessThanOrEqual(1);
    expect(results.lastIndexOf(0)).toBe(4);
    expect(results.filter((errcode) => errcode === 0)).toHaveLength(2);
    const refused = logs.filter(({ message }) => message === REFUSED);
    expect(refused.map(({ link }) => link)).toEqual(Array(8).fill('evil'));
  });
});

describe('row 88: an account ends its authorization while its code is exchanged', () => {
  const revokedAt = (createTime: number) =>
    platform.simulator.pushUnauthorized(C, AUTHORIZER, { createTime });

  it('the tombstone stays, and the token that came is dropped', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock, redis, keys } = platform;
    const second = Math.floor(clock.now() / 1000);
    const fault = { type: 'delay', ms: 3_000 } as const;
    simulator.addFault({ api: QUERY, afterMint: true, fault });
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code, { createTime: second });
    await vi.waitFor(() => expect(exchangesAsked(platform)).toEqual([0]), POLLING);
    await clock.advance(1_000);
    expect((await revokedAt(second + 1)).status).toBe(200);
    await platform.pass(5_000);
    expect(await read(platform, AUTHORIZED)).toMatchObject({
      status: 410,
      error: { code: 'authorizer_revoked' },
    });
    expect(await redis.get(keys.mirror(AUTHORIZED))).toBeNull();
    const record = await redis.hgetall(keys.record(AUTHORIZED));
    expect(record.revoked_at).toBe(String((second + 1) * 1000));
    expect(record).not.toHaveProperty('refresh_token');
    expect(record).not.toHaveProperty('value');
    expect(await entryOf(platform)).toMatchObject({ state: 'revoked' });
    expect(await exchangesKept(platform)).toMatchObject([{ outcome: 'superseded' }]);
    expect(logged(platform, EXCHANGED)).toMatchObject([{ outcome: 'older' }]);

    // Once more, and an older revocation that comes late ends nothing.
    await platform.pass(MINUTE);
    const again = Math.floor(clock.now() / 1000);
    await authorizedEvent(platform, simulator.grant(C, AUTHORIZER).code, { createTime: again });
    await platform.settle();
    expect(await secondsUntilAlive(platform, 2)).toBeLessThanOrEqual(1);
    const late = await simulator.pushUnauthorized(C, AUTHORIZER, {
      createTime: again - 30,
      keep: true,
    });
    expect(late.status).toBe(200);
    await platform.settle();
    await expectAlive(platform);
    expect(await entryOf(platform)).toMatchObject({ state: 'authorized' });
    expect(logged(platform, 'a revocation came after a newer authorization')).toHaveLength(1);
  });

  it('before it is exchanged: the code is not even tried', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    const second = Math.floor(clock.now() / 1000);
    const { code } = simulator.grant(C, AUTHORIZER);
    await revokedAt(second + 2);
    await authorizedEvent(platform, code, { createTime: second });
    await platform.settle();
    await platform.pass(MINUTE);
    expect(exchangesAsked(platform)).toEqual([]);
    expect(await exchangesKept(platform)).toMatchObject([{ outcome: 'superseded' }]);
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 410 });
  });

  it('in the very second in which the redirect came: it is ended all the same', async () => {
    platform = await createTestPlatform({ links: true, listRead: true });
    const { simulator, clock } = platform;
    await platform.pass(500);
    const second = Math.floor(clock.now() / 1000);
    const page = await donePage(platform, simulator.grant(C, AUTHORIZER).code, { lang: 'en' });
    expect(await (await page()).text()).toContain('The account is authorized');
    await platform.settle();
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 200 });
    // WeChat tells whole seconds.
    expect((await revokedAt(second)).status).toBe(200);
    await platform.settle();
    expect(await read(platform, AUTHORIZED)).toMatchObject({ status: 410 });
    expect(await entryOf(platform)).toMatchObject({ state: 'revoked' });
    // And the other way round: who ended and authorized within a second has authorized.
    const again = simulator.grant(C, AUTHORIZER).code;
    expect(await (await (await donePage(platform, again))()).text()).not.toBe('');
    await platform.settle();
    await expectAlive(platform);
  });
});
