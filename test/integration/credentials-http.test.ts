import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { read, type Seen, stored } from '../kit/observe.ts';
import { COMPONENT, createTestPlatform, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';
import { POLLING } from '../kit/waiting.ts';

const OTHER_APPID = 'wx00000000000000ff';
const TOKEN_PATH = `/v1/credentials/${TOKEN.kind}/${COMPONENT.appid}`;
const CODE_PATH = `/v1/credentials/${CODE.kind}/${COMPONENT.appid}`;

describe('credentials over HTTP', () => {
  let platform: TestPlatform;
  beforeEach(async () => {
    platform = await createTestPlatform();
    await platform.simulator.pushTicket();
    await platform.settle();
  });
  afterEach(() => platform.close());

  it.each([
    { path: `/v1/credentials/component_secret/${COMPONENT.appid}`, what: 'an unknown kind' },
    { path: `/v1/credentials/__proto__/${COMPONENT.appid}`, what: '__proto__ as a kind' },
    { path: `/v1/credentials/constructor/${COMPONENT.appid}`, what: 'constructor as a kind' },
    { path: `/v1/credentials/component_verify_ticket/${COMPONENT.appid}`, what: 'the ticket' },
    { path: `/v1/credentials/${TOKEN.kind}/${OTHER_APPID}`, what: 'an unknown subject' },
    { path: `/v1/credentials/${TOKEN.kind}/__proto__`, what: '__proto__ as a subject' },
    { path: `/v1/credentials/${TOKEN.kind}`, what: 'no subject' },
  ])('knows nothing of $what', async ({ path }) => {
    for (const method of ['GET', 'HEAD']) {
      expect((await platform.internal(path, { method })).status).toBe(404);
    }
    const body: unknown = await (await platform.internal(path)).json();
    expect(body).toMatchObject({ error: { code: 'not_found' } });
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH'])('does not serve %s', async (method) => {
    const before = await stored(platform, CODE);
    const answer = await platform.internal(CODE_PATH, { method });
    expect(answer.status).toBe(405);
    expect(await answer.json()).toMatchObject({ error: { code: 'method_not_allowed' } });
    expect(await stored(platform, CODE)).toEqual(before);
  });

  it('answers 304 to whoever knows the latest token, until there is another', async () => {
    const first = await platform.internal(TOKEN_PATH);
    const etag = first.headers.get('etag') ?? '';
    expect(etag).toBe('"1"');
    expect(first.headers.get('cache-control')).toBe('no-store');
    const headers = { 'if-none-match': etag };
    const again = await platform.internal(TOKEN_PATH, { headers });
    expect(again.status).toBe(304);
    expect(await again.text()).toBe('');
    await platform.skip(111 * MINUTE);
    const later = await platform.internal(TOKEN_PATH, { headers });
    expect(later.status).toBe(200);
    expect(later.headers.get('etag')).toBe('"2"');
  });

  it('never answers 304 for a code: each caller gets one of its own', async () => {
    const etag = (await platform.internal(CODE_PATH, { method: 'HEAD' })).headers.get('etag') ?? '';
    const answer = await platform.internal(CODE_PATH, { headers: { 'if-none-match': etag } });
    expect(answer.status).toBe(200);
  });

  it('uses nothing up by HEAD', async () => {
    const before = await stored(platform, CODE);
    for (let count = 0; count < 3; count += 1) {
      const answer = await platform.internal(CODE_PATH, { method: 'HEAD' });
      expect(answer.status).toBe(200);
      expect(answer.headers.get('etag')).toBe('"1"');
      expect(await answer.text()).toBe('');
    }
    await platform.settle();
    expect(await stored(platform, CODE)).toEqual(before);
    expect(await read(platform, CODE)).toMatchObject({ status: 200, value: before.kept.value });
  });

  it('gives twenty callers at the same moment twenty different codes, all live', async () => {
    const state = { pending: true };
    const reading = Promise.all(
      Array.from({ length: 20 }, async () => {
        const answer = await platform.internal(CODE_PATH);
        expect(answer.status).toBe(200);
        return ((await answer.json()) as Seen).value ?? '';
      }),
    ).finally(() => (state.pending = false));
    // Who came second to a code asks again a little later, by this clock. It must not outrun Redis.
    while (state.pending) {
      await platform.pass(2);
      await platform.redis.ping();
    }
    const codes = await reading;
    expect(new Set(codes).size).toBe(20);
    expect(codes.filter((code) => !platform.simulator.isLive(CODE.kind, code))).toEqual([]);
    await platform.settle();
    const ready = await platform.redis.get(platform.keys.mirror(CODE));
    expect(codes).not.toContain(ready);
  });

  it('has another code at the next tick when a service took one by GETDEL', async () => {
    const { redis, keys, simulator } = platform;
    const taken = await redis.getdel(keys.mirror(CODE));
    await platform.pass(10 * MINUTE);
    const next = (await redis.get(keys.mirror(CODE))) ?? '';
    expect(next).not.toBe(taken);
    expect(simulator.isLive(CODE.kind, next)).toBe(true);
  });

  it('lets a reader who finds an expired token wait for the mint', async () => {
    // The clock jumps over every timer, as it does when a machine was suspended.
    platform.clock.sleepThrough(3 * HOUR);
    const answer = await read(platform, TOKEN);
    expect(answer).toMatchObject({ status: 200, seq: 2, state: 'fresh', expires_in: 7200 });
    expect(platform.simulator.isLive(TOKEN.kind, answer.value ?? '')).toBe(true);
  });
});

describe('who may read credentials', () => {
  const reader = makeApiKey('reader', 'credentials:read');
  const narrowed = makeApiKey('narrowed', `credentials:read@${COMPONENT.appid}`);
  const elsewhere = makeApiKey('elsewhere', `credentials:read@${OTHER_APPID}`);
  const watcher = makeApiKey('watcher', 'status:read');
  let platform: TestPlatform;
  beforeEach(async () => {
    const keys = [reader, narrowed, elsewhere, watcher].map(({ entry }) => entry);
    platform = await createTestPlatform({ env: { API_KEYS: keys.join(',') } });
    await platform.simulator.pushTicket();
    await platform.settle();
  });
  afterEach(() => platform.close());

  const ask = (authorization: string, path = TOKEN_PATH) =>
    platform.internal(path, { headers: { authorization } });

  it.each([
    { name: 'no key', authorization: '' },
    { name: 'an unknown key', authorization: `Bearer ${makeApiKey('reader', 'admin').key}` },
    { name: 'the hash of a key', authorization: `Bearer ${reader.entry.split(':')[1] ?? ''}` },
    { name: 'another scheme', authorization: `Basic ${reader.key}` },
  ])('answers 401 to $name', async ({ authorization }) => {
    const answer = await ask(authorization);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(await answer.json()).toMatchObject({ error: { code: 'unauthorized' } });
    expect((await ask('', `${TOKEN_PATH}?access_token=${reader.key}`)).status).toBe(401);
  });

  it('answers 403 to a key without the scope, or narrowed to another appid', async () => {
    for (const { key } of [watcher, elsewhere]) {
      const answer = await ask(`Bearer ${key}`);
      expect(answer.status).toBe(403);
      expect(await answer.json()).toMatchObject({ error: { code: 'forbidden' } });
    }
    for (const { key } of [reader, narrowed]) expect((await ask(`Bearer ${key}`)).status).toBe(200);
  });

  it('answers 429 after ten wrong keys, and still lets a right one in', async () => {
    const statuses: number[] = [];
    for (let count = 0; count < 12; count += 1) statuses.push((await ask('Bearer wrong')).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 401), 429, 429]);
    const answer = await ask('Bearer wrong');
    expect(answer.headers.get('retry-after')).toBe('60');
    expect(await answer.json()).toMatchObject({ error: { code: 'too_many_requests' } });
    expect((await ask(`Bearer ${reader.key}`)).status).toBe(200);
  });
});

describe('a credential that cannot be had', () => {
  let platform: TestPlatform;
  beforeEach(async () => {
    platform = await createTestPlatform();
  });
  afterEach(() => platform.close());

  const expectRefusal = async (code: string, longest: number) => {
    for (const id of [TOKEN, CODE]) {
      const answer = await read(platform, id);
      expect(answer).toMatchObject({ status: 503 });
      expect(answer.value).toBeUndefined();
      expect(answer.retryAfter).toBeGreaterThanOrEqual(1);
      expect(answer.retryAfter).toBeLessThanOrEqual(longest);
      if (id === TOKEN) expect(answer.error?.code).toBe(code);
    }
  };

  it('is no_ticket before the first push', () => expectRefusal('no_ticket', 60));

  it('is ticket_expired when no ticket came for half a day', async () => {
    await platform.simulator.pushTicket();
    await platform.settle();
    platform.clock.sleepThrough(15 * HOUR);
    await expectRefusal('ticket_expired', 60);
  });

  it.each([
    { errcode: -1, code: 'wechat_unavailable', longest: 5 },
    { errcode: 45011, code: 'wechat_unavailable', longest: 60 },
    { errcode: 61005, code: 'ticket_expired', longest: 600 },
    { errcode: 40125, code: 'wechat_refused', longest: 600 },
    { errcode: 48004, code: 'wechat_refused', longest: 600 },
    { errcode: 45009, code: 'quota_exhausted', longest: 3600 },
  ])('is $code after errcode $errcode', async ({ errcode, code, longest }) => {
    platform.simulator.addFault({
      api: '*',
      times: 'forever',
      fault: { type: 'errcode', errcode },
    });
    await platform.simulator.pushTicket();
    await platform.settle();
    await expectRefusal(code, longest);
  });

  it('is wechat_unavailable after nine seconds, however much there would be to wait for', async () => {
    const { simulator, clock } = platform;
    // A token that takes seven seconds, and then a code that never comes: fifteen in all.
    simulator.addFault({ api: 'api_component_token', fault: { type: 'delay', ms: 7_000 } });
    simulator.addFault({ api: 'api_create_preauthcode', fault: { type: 'hang' } });
    await simulator.pushTicket();
    const calls = () => simulator.ledger.calls.map(({ api }) => api);
    await vi.waitFor(() => expect(calls()).toEqual(['api_component_token']), POLLING);
    const timers = clock.pendingTimers();
    let answered = false;
    const reading = platform.internal(CODE_PATH).finally(() => (answered = true));
    // The reader's own deadline: from now on it waits.
    await vi.waitFor(() => expect(clock.pendingTimers()).toBeGreaterThan(timers), POLLING);
    await clock.advance(7_000);
    await vi.waitFor(() => expect(calls()).toContain('api_create_preauthcode'), POLLING);
    await clock.advance(1_999);
    expect(await (await platform.internal('/livez')).json()).toEqual({ status: 'ok' });
    expect(answered).toBe(false);
    await clock.advance(1);
    const answer = await reading;
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(await answer.json()).toMatchObject({ error: { code: 'wechat_unavailable' } });
    await clock.advance(10_000);
  });
});
