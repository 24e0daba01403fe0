import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { watchMirrors } from '../kit/liveness.ts';
import { callsSince, logged, read } from '../kit/observe.ts';
import {
  CLASSIC,
  createTestPlatform,
  HOUR,
  MINUTE,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';

const TOKENS = [STABLE, CLASSIC].map(({ appid }) => ({
  kind: 'access_token' as const,
  subject: appid,
}));
const TICKETS = [
  { kind: 'jsapi_ticket', subject: STABLE.appid },
  { kind: 'wx_card_ticket', subject: STABLE.appid },
  { kind: 'jsapi_ticket', subject: CLASSIC.appid },
] as const;

describe('accounts of our own', () => {
  let platform: TestPlatform;
  beforeEach(async () => {
    platform = await createTestPlatform({ accounts: true });
    await platform.settle();
  });
  afterEach(() => platform.close());

  it('have everything they want from the start, in Redis and over HTTP', async () => {
    for (const id of [...TOKENS, ...TICKETS]) {
      const seen = await read(platform, id);
      expect(seen).toMatchObject({ status: 200, seq: 1, state: 'fresh', source: 'redis' });
      expect(await platform.redis.get(platform.keys.mirror(id))).toBe(seen.value);
      expect(platform.simulator.isLive(id.kind, seen.value ?? '')).toBe(true);
    }
    expect(platform.keys.mirror(TICKETS[1])).toMatch(/wx_card_ticket:\{wx00000000000000a1\}$/);
  });

  it('have no ticket that they did not ask for', async () => {
    const seen = await read(platform, { kind: 'wx_card_ticket', subject: CLASSIC.appid });
    expect(seen).toMatchObject({ status: 404, error: { code: 'not_found' } });
  });

  it('never lack a live value in eight hours, but for the moment in which a ticket ends', async () => {
    const since = platform.clock.now();
    const bad = await watchMirrors(platform, 8 * 3_600, [...TOKENS, ...TICKETS]);
    expect(bad.filter((one) => one.startsWith('access_token'))).toEqual([]);
    for (const id of TICKETS) {
      // WeChat repeats a ticket to its very end, so its successor can only be fetched then.
      const ends = platform.simulator.ledger.mints.filter(
        ({ kind, appid }) => kind === id.kind && appid === id.subject,
      ).length;
      expect(ends).toBe(4);
    }
    expect(bad.length).toBeLessThanOrEqual(TICKETS.length * 4 * 4);
    expect(logged(platform, 'refresh failed, trying again')).toEqual([]);
    // Each classic call mints; a stable token and a ticket are repeated until their last minutes.
    expect(callsSince(platform, 'token', since).length).toBeLessThanOrEqual(5);
    expect(callsSince(platform, 'stable_token', since).length).toBeLessThanOrEqual(5 * 4);
    expect(callsSince(platform, 'getticket', since).length).toBeLessThanOrEqual(3 * 5 * 11);
  });

  it('are not given a whole life for a ticket that WeChat only repeated', async () => {
    const [ticket] = TICKETS;
    await platform.redis.del(platform.keys.record(ticket), platform.keys.mirror(ticket));
    const before = await read(platform, ticket);
    await platform.pass(HOUR);
    const answer = await platform.internal(
      `/v1/credentials/jsapi_ticket/${ticket.subject}/rejected`,
      { method: 'POST', body: JSON.stringify({ seq: before.seq, errcode: 0 }) },
    );
    expect(answer.status).toBe(200);
    await platform.settle();
    const after = await read(platform, ticket);
    expect(after).toMatchObject({ value: before.value, seq: before.seq });
    expect(after.expires_in).toBeLessThanOrEqual(3_600);
    expect(after.expires_in).toBeGreaterThan(3_500);
  });

  it('renew a token that WeChat calls dead when a ticket is fetched with it, then the ticket', async () => {
    const [token] = TOKENS;
    if (token === undefined) throw new Error('no token');
    await platform.skip(30 * MINUTE);
    platform.simulator.addFault({
      api: 'getticket',
      fault: { type: 'errcode', errcode: 40001 },
    });
    const [ticket] = TICKETS;
    await platform.internal(`/v1/credentials/jsapi_ticket/${ticket.subject}/refresh`, {
      method: 'POST',
    });
    await platform.settle();
    const [refusal] = logged(platform, 'a value died before its time; another one is minted');
    expect(refusal).toMatchObject({
      level: 'warn',
      kind: 'access_token',
      by: 'WeChat, when asked for jsapi_ticket',
    });
    expect(await read(platform, ticket)).toMatchObject({ status: 200 });
  });
});

it('need no component beside them', async () => {
  const platform = await createTestPlatform({
    accounts: true,
    env: {
      COMPONENT_APPID: '',
      COMPONENT_APPSECRET: '',
      COMPONENT_TOKEN: '',
      COMPONENT_ENCODING_AES_KEY: '',
      COMPONENT_PREVIOUS_TOKEN: '',
      COMPONENT_PREVIOUS_ENCODING_AES_KEY: '',
    },
  });
  await platform.settle();
  const [token] = TOKENS;
  if (token === undefined) throw new Error('no token');
  expect(await read(platform, token)).toMatchObject({ status: 200 });
  const status = (await (await platform.internal('/status')).json()) as Record<string, unknown>;
  expect(status).toMatchObject({ verdict: 'ok', components: [] });
  expect(JSON.stringify(status.accounts)).toContain(STABLE.appid);
  await platform.close();
});
