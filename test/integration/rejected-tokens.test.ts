import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Service } from '../../src/service.ts';
import { makeApiKey } from '../../src/config/api-keys.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { callsSince, logged, read, statusOf, stored } from '../kit/observe.ts';
import { createTestPlatform, HOUR, MINUTE, type TestPlatform } from '../kit/platform.ts';

const PATH = `/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`;
const MINT = 'api_component_token';

interface Answer {
  status: number;
  retryAfter: number | undefined;
  outcome?: string;
  value?: string;
  seq?: number;
  error?: { code: string; message: string };
}

let platform: TestPlatform;
beforeEach(async () => {
  platform = await createTestPlatform();
  await platform.simulator.pushTicket();
  await platform.settle();
  await platform.pass(5 * MINUTE);
});
afterEach(() => platform.close());

async function post(path: string, body?: unknown, more: RequestInit = {}, app?: Service) {
  const port = (app ?? platform.app).internalPort();
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${platform.apiKey}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...more,
  });
  const header = answer.headers.get('retry-after');
  const json = (await answer.json()) as Omit<Answer, 'status' | 'retryAfter'>;
  const retryAfter = header === null ? undefined : Number(header);
  return { status: answer.status, retryAfter, ...json };
}

async function reject(seq: number, errcode = 40001): Promise<Answer> {
  const answer = await post(`${PATH}/rejected`, { seq, errcode });
  await platform.settle();
  return answer;
}

const mints = () =>
  platform.simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind).length;
const current = () => platform.simulator.latestMint(TOKEN.kind)?.value;

describe('a value that WeChat refused', () => {
  it('is replaced at once, once, for whoever names it', async () => {
    const first = current();
    expect(await reject(1)).toMatchObject({ status: 200, outcome: 'refreshed', seq: 2 });
    expect(mints()).toBe(2);
    expect(current()).not.toBe(first);
    expect(await stored(platform, TOKEN)).toMatchObject({
      kept: { seq: '2', value: current(), mirror: current() },
      suspect: false,
    });
    expect(logged(platform, 'a value died before its time; another one is minted')).toMatchObject([
      { level: 'warn', seq: 1, by: 'reported (errcode 40001) by tests' },
    ]);
    expect((await statusOf(platform, TOKEN)).credential).toMatchObject({
      last_refused: { by: 'reported (errcode 40001) by tests' },
    });
    expect(await reject(1)).toMatchObject({
      status: 200,
      outcome: 'already_newer',
      seq: 2,
      value: current(),
      retryAfter: undefined,
    });
    expect(mints()).toBe(2);
  });

  it('gets the current value when the caller knows a seq that we have lost', async () => {
    expect(await reject(99)).toMatchObject({ status: 200, outcome: 'already_newer', seq: 1 });
    expect(mints()).toBe(1);
  });

  it('stays when it is younger than a minute: the complaint may be about the one before', async () => {
    await reject(1);
    const young = await reject(2);
    expect(young).toMatchObject({ status: 200, outcome: 'throttled', seq: 2, value: current() });
    expect(young.retryAfter).toBe(60);
    expect(mints()).toBe(2);
    expect(
      logged(platform, 'a value was called dead too soon after the last time; it stays'),
    ).toMatchObject([{ level: 'warn', seq: 2 }]);
  });

  it('is not minted again within five minutes of the last complaint', async () => {
    await reject(1);
    await platform.pass(2 * MINUTE);
    expect(await reject(2)).toMatchObject({ outcome: 'throttled', retryAfter: 180 });
    await platform.pass(3 * MINUTE);
    expect(await reject(2)).toMatchObject({ outcome: 'refreshed', seq: 3 });
  });

  it('is served as before when WeChat will not give another one now', async () => {
    platform.simulator.addFault({
      api: MINT,
      times: 'forever',
      fault: { type: 'errcode', errcode: -1 },
    });
    const answer = await reject(1);
    expect(answer).toMatchObject({ status: 200, outcome: 'throttled', seq: 1, value: current() });
    expect(answer.retryAfter).toBeGreaterThanOrEqual(1);
    expect(answer.retryAfter).toBeLessThanOrEqual(4);
    // What was accepted is not forgotten: it is refreshed as soon as WeChat lets us.
    platform.simulator.clearFaults();
    await platform.pass(10_000);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 2, state: 'fresh' });
  });

  it.each([
    ['no body', undefined],
    ['no errcode', { seq: 1 }],
    ['a seq that is no number', { seq: '1', errcode: 40001 }],
    ['a negative seq', { seq: -1, errcode: 40001 }],
    ['an errcode that does not mean a dead token', { seq: 1, errcode: 45009 }],
    ['success', { seq: 1, errcode: 0 }],
  ])('is not replaced for %s', async (_what, body) => {
    expect(await post(`${PATH}/rejected`, body)).toMatchObject({
      status: 400,
      error: { code: 'bad_request' },
    });
    expect(mints()).toBe(1);
  });

  it('makes no sense for a code, and none for what is not kept here', async () => {
    const code = `/v1/credentials/${CODE.kind}/${CODE.subject}/rejected`;
    expect(await post(code, { seq: 1, errcode: 40001 })).toMatchObject({ status: 400 });
    const unknown = `/v1/credentials/${TOKEN.kind}/wx00000000000000ff/rejected`;
    expect(await post(unknown, { seq: 1, errcode: 40001 })).toMatchObject({ status: 404 });
  });

  it('is a matter for a scope of its own, and another value on demand one for admins', async () => {
    const keys = ['credentials:read', 'credentials:refresh'].map((scope) =>
      makeApiKey(scope.replace(':', '-'), scope),
    );
    await platform.close();
    const API_KEYS = keys.map(({ entry }) => entry).join(',');
    platform = await createTestPlatform({ env: { API_KEYS } });
    const [reader, refresher] = keys.map(({ key }) => ({
      headers: { authorization: `Bearer ${key}` },
    }));
    const body = { seq: 1, errcode: 40001 };
    expect(await post(`${PATH}/rejected`, body, reader)).toMatchObject({ status: 403 });
    expect(await post(`${PATH}/refresh`, undefined, refresher)).toMatchObject({ status: 403 });
    // No ticket yet: let in, and told so.
    expect(await post(`${PATH}/rejected`, body, refresher)).toMatchObject({
      status: 503,
      error: { code: 'no_ticket' },
    });
  });

  it('is replaced when an admin wants it, under the same guards, and blames nobody', async () => {
    expect(await post(`${PATH}/refresh`)).toMatchObject({ outcome: 'refreshed', seq: 2 });
    await platform.settle();
    await platform.pass(2 * MINUTE);
    expect(await post(`${PATH}/refresh`)).toMatchObject({ outcome: 'throttled', seq: 2 });
    await platform.pass(10 * MINUTE);
    expect(await post(`${PATH}/refresh`)).toMatchObject({ outcome: 'refreshed', seq: 3 });
    await platform.settle();
    const { problems } = await statusOf(platform, TOKEN);
    expect(problems).toEqual([]);
  });

  it('costs a caller who keeps complaining about good values a minute of silence', async () => {
    await reject(1);
    for (let time = 0; time < 10; time += 1) {
      expect(await reject(2)).toMatchObject({ status: 200, outcome: 'throttled' });
    }
    expect(await reject(2)).toMatchObject({
      status: 429,
      retryAfter: 60,
      error: { code: 'too_many_requests' },
    });
    await platform.pass(MINUTE);
    expect((await reject(2)).status).toBe(200);
  });
});

it('is minted once for 1,000 complaints in the same moment at two replicas', async () => {
  const replica = await platform.addReplica();
  const since = platform.clock.now();
  const body = { seq: 1, errcode: 40001 };
  // WeChat answers after the last complaint has come in, so that none is late.
  platform.simulator.addFault({ api: MINT, times: 'forever', fault: { type: 'delay', ms: 1 } });
  const answers = Array.from({ length: 1_000 }, (_, index) =>
    post(`${PATH}/rejected`, body, {}, index % 2 === 0 ? platform.app : replica),
  );
  const all = { over: false };
  void Promise.allSettled(answers).then(() => (all.over = true));
  while (!all.over) {
    await new Promise((resolve) => setImmediate(resolve));
    if (platform.simulator.ledger.calls.at(-1)?.api === MINT) await platform.clock.advance(200);
  }
  const outcomes = await Promise.all(answers);
  expect(callsSince(platform, MINT, since)).toHaveLength(1);
  expect(mints()).toBe(2);
  const value = current();
  for (const answer of outcomes) {
    expect(answer).toMatchObject({ status: 200, seq: 2, value });
    expect(['refreshed', 'already_newer']).toContain(answer.outcome);
  }
});

describe('somebody else who mints with our secret', () => {
  const war = async () => {
    platform.simulator.mintElsewhere('component_access_token');
    const seen = await read(platform, TOKEN);
    return reject(seen.seq ?? 0);
  };

  it('is answered once, then named, instead of an endless war', async () => {
    expect(await war()).toMatchObject({ outcome: 'refreshed', seq: 2 });
    await platform.pass(6 * MINUTE);
    const named = new Date(platform.clock.now()).toISOString();
    expect(await war()).toMatchObject({ outcome: 'refreshed', seq: 3 });
    const [cry] = platform.logs.filter(({ message }) => message.startsWith('somebody else mints'));
    expect(cry).toMatchObject({ level: 'error', kind: TOKEN.kind, seq: 2 });
    const { problems } = await statusOf(platform, TOKEN);
    expect(problems).toMatchObject([{ code: 'foreign_refresher' }]);
    expect(problems[0]?.message).toContain(named);
    expect(problems[0]?.advice).toContain('AppSecret');

    const minted = () => platform.simulator.ledger.mints.filter(({ kind }) => kind === TOKEN.kind);
    const before = minted().length;
    for (let minutes = 0; minutes < 60; minutes += 6) {
      await platform.pass(6 * MINUTE);
      await war();
    }
    const since = minted().slice(before);
    expect(since.filter(({ foreign }) => foreign)).toHaveLength(10);
    expect(since.filter(({ foreign }) => !foreign)).toHaveLength(2);
  });

  it('is forgotten after a whole life without a refusal', async () => {
    await war();
    await platform.pass(6 * MINUTE);
    await war();
    platform.simulator.setPushing(true);
    await platform.skip(4 * HOUR);
    const { problems, credential } = await statusOf(platform, TOKEN);
    expect(problems).toEqual([]);
    expect(credential).toMatchObject({ foreign_refresher_since: null });
  });

  it('is noticed without any complaint when our own calls fail', async () => {
    platform.simulator.mintElsewhere('component_access_token');
    await platform.redis.getdel(platform.keys.mirror(CODE));
    await platform.pass(16_000);
    expect(await read(platform, TOKEN)).toMatchObject({ seq: 2 });
    expect(await read(platform, CODE)).toMatchObject({ status: 200 });
    await platform.pass(10 * MINUTE);
    platform.simulator.mintElsewhere('component_access_token');
    await platform.redis.getdel(platform.keys.mirror(CODE));
    await platform.pass(16_000);
    const { problems } = await statusOf(platform, TOKEN);
    expect(problems).toMatchObject([{ code: 'foreign_refresher' }]);
  });
});
