import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refuseValue } from '../../src/store/credentials/invalidate.ts';
import { TOKEN } from '../kit/liveness.ts';
import { callsSince, logged, read, statusOf } from '../kit/observe.ts';
import {
  CLASSIC,
  createTestPlatform,
  HOUR,
  MINUTE,
  STABLE,
  type TestPlatform,
} from '../kit/platform.ts';
import { MINT_API } from '../kit/scenario.ts';
import type { CredentialId } from '../../src/store/redis/keys.ts';

/** Complaints that must not cost calls to WeChat, blame somebody who is not there, or hide a value. */

interface Answer {
  status: number;
  retryAfter: number;
  outcome?: string;
  value?: string;
  seq?: number;
}

let platform: TestPlatform;
afterEach(() => platform.close());

async function post(id: CredentialId, action: string, body?: unknown): Promise<Answer> {
  const answer = await platform.internal(`/v1/credentials/${id.kind}/${id.subject}/${action}`, {
    method: 'POST',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const json = (await answer.json()) as Omit<Answer, 'status' | 'retryAfter'>;
  await platform.settle();
  return { status: answer.status, retryAfter: Number(answer.headers.get('retry-after')), ...json };
}

/** The same complaint as a service makes it: about the value that it reads. */
async function reject(id: CredentialId): Promise<Answer> {
  const { seq } = await read(platform, id);
  return post(id, 'rejected', { seq, errcode: 40001 });
}

const errors = () => platform.logs.filter(({ level }) => level === 'error');

async function startPlatform(): Promise<void> {
  platform = await createTestPlatform();
  platform.simulator.setPushing(true);
  await platform.simulator.pushTicket();
  await platform.settle();
  await platform.pass(5 * MINUTE);
}

describe('complaints while WeChat is busy', () => {
  beforeEach(startPlatform);
  const busy = () =>
    platform.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: -1 },
    });

  it('wait together: the first one costs a try, the others share its back-off', async () => {
    busy();
    const since = platform.clock.now();
    for (let time = 0; time < 8; time += 1) {
      const answer = await reject(TOKEN);
      expect(answer).toMatchObject({ status: 200, outcome: 'throttled', seq: 1 });
      expect(answer.retryAfter).toBeGreaterThanOrEqual(1);
      expect(answer.retryAfter).toBeLessThanOrEqual(4);
    }
    expect(callsSince(platform, MINT_API, since)).toEqual([0]);
  });

  it('ten a minute for half an hour cost no more calls than one', async () => {
    busy();
    const callsIn = async (complaintsAMinute: number) => {
      const since = platform.clock.now();
      for (let minute = 0; minute < 30; minute += 1) {
        const wanted = minute === 0 ? Math.max(1, complaintsAMinute) : complaintsAMinute;
        for (let time = 0; time < wanted; time += 1) await reject(TOKEN);
        await platform.pass(MINUTE);
      }
      return callsSince(platform, MINT_API, since).length;
    };
    const many = await callsIn(10);
    // Three quick tries, then delays that double up to five minutes.
    expect(many).toBeGreaterThan(5);
    expect(many).toBeLessThan(25);
    // A reader's complaint is not forgotten over it.
    platform.simulator.clearFaults();
    await platform.pass(6 * MINUTE);
    expect(await read(platform, TOKEN)).toMatchObject({ seq: 2, state: 'fresh' });
  });

  it('try at once about a death that is newer than the last failure', async () => {
    const expiresAt = Number(await platform.redis.hget(platform.keys.record(TOKEN), 'expires_at'));
    await platform.skip(expiresAt - 14 * MINUTE - platform.clock.now());
    busy();
    await platform.pass(6 * MINUTE);
    const waiting = await platform.redis.hget(platform.keys.record(TOKEN), 'retry_at');
    expect(Number(waiting)).toBeGreaterThan(platform.clock.now());
    platform.simulator.clearFaults();
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed', seq: 2 });
  });
});

describe('a value that WeChat gives again to whoever calls it dead', () => {
  beforeEach(async () => {
    platform = await createTestPlatform({ accounts: true });
    await platform.settle();
    await platform.pass(5 * MINUTE);
  });

  it.each([
    ['a ticket', { kind: 'jsapi_ticket', subject: STABLE.appid }, 'getticket'],
    ['a stable token', { kind: 'access_token', subject: STABLE.appid }, 'stable_token'],
  ] as const)('%s is alive, and nobody else is blamed', async (_what, id, api) => {
    const before = await read(platform, id);
    const same = { status: 200, outcome: 'throttled', seq: before.seq, value: before.value };
    for (let time = 1; time <= 3; time += 1) {
      const since = platform.clock.now();
      expect(await reject(id)).toMatchObject({ ...same, retryAfter: 300 });
      expect(callsSince(platform, api, since)).toHaveLength(1);
      // Until then WeChat is not asked again.
      expect(await reject(id)).toMatchObject({ ...same, retryAfter: 300 });
      expect(callsSince(platform, api, since)).toHaveLength(1);
      const line = 'WeChat gave the value again that was called dead: it is alive';
      expect(logged(platform, line, id.kind)).toHaveLength(time);
      expect(logged(platform, line, id.kind)).toMatchObject([
        ...Array<object>(time).fill({ level: 'warn' }),
      ]);
      await platform.pass(6 * MINUTE);
    }
    expect(
      await platform.redis.hmget(platform.keys.record(id), 'foreign_since', 'refusals'),
    ).toEqual([null, null]);
    expect(errors()).toEqual([]);
  });

  it('ends the suspicion too that earlier deaths had raised', async () => {
    const id = { kind: 'access_token', subject: STABLE.appid } as const;
    const record = platform.keys.record(id);
    const { seq = 0 } = await read(platform, id);
    const foreign = { foreign_since: 1, refusals: 2, counted_at: platform.clock.now() };
    await platform.redis.hset(record, foreign);
    expect(await post(id, 'rejected', { seq, errcode: 40001 })).toMatchObject({
      outcome: 'throttled',
      retryAfter: 300,
    });
    expect(await platform.redis.hget(record, 'foreign_since')).toBeNull();
  });

  it('a classic token is another one each time, and two deaths still name somebody', async () => {
    const id = { kind: 'access_token', subject: CLASSIC.appid } as const;
    expect(await reject(id)).toMatchObject({ outcome: 'refreshed' });
    await platform.pass(6 * MINUTE);
    expect(await reject(id)).toMatchObject({ outcome: 'refreshed' });
    expect(errors()).toMatchObject([{ kind: 'access_token' }]);
  });
});

describe('one real death', () => {
  beforeEach(startPlatform);

  it('and another one after a life of peace are not two in one life, whatever an admin asks for', async () => {
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    await platform.skip(3 * HOUR);
    expect(await post(TOKEN, 'refresh')).toMatchObject({ outcome: 'refreshed' });
    await platform.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
    expect(errors()).toEqual([]);
    // The next one within a life of that is the second.
    await platform.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(platform, TOKEN)).problems).toMatchObject([
      { code: 'foreign_refresher' },
    ]);
  });

  it('and one after a life of peace are not two in one life, whatever our own doubts explain', async () => {
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    await platform.skip(3 * HOUR);
    const { seq = 0 } = await read(platform, TOKEN);
    await platform.redis.hset(platform.keys.record(TOKEN), { suspect: 1 });
    const explained = { seq, by: { caller: 'a service' }, ownDoing: false };
    expect(await refuseValue(platform.store, TOKEN, explained)).toEqual({ outcome: 'accepted' });
    await platform.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
  });

  it('stays counted when an admin asks for another value in between', async () => {
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    await platform.pass(10 * MINUTE);
    expect(await post(TOKEN, 'refresh')).toMatchObject({ outcome: 'refreshed' });
    await platform.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(platform, TOKEN)).problems).toMatchObject([
      { code: 'foreign_refresher' },
    ]);
  });
});

describe('callers who share the key of one who complains in vain', () => {
  const TOO_SOON = 'a value was called dead too soon after the last time; it stays';
  beforeEach(async () => {
    await startPlatform();
    await reject(TOKEN);
    for (let time = 0; time < 10; time += 1) await reject(TOKEN);
    expect((await reject(TOKEN)).status).toBe(429);
  });

  it('get the newer value, for one look at Redis and none at WeChat', async () => {
    const since = platform.clock.now();
    const { value } = await read(platform, TOKEN);
    const late = await post(TOKEN, 'rejected', { seq: 1, errcode: 40001 });
    expect(late).toMatchObject({ status: 200, outcome: 'already_newer', seq: 2, value });
    expect((await reject(TOKEN)).status).toBe(429);
    expect(callsSince(platform, MINT_API, since)).toHaveLength(1);
    // A flood is no reason to fill the log.
    expect(logged(platform, TOO_SOON)).toHaveLength(10);
  });

  it('are heard about a death that nobody has reported yet', async () => {
    await platform.pass(59_000);
    await platform.redis.hset(platform.keys.record(TOKEN), {
      value_since: platform.clock.now() - 10 * MINUTE,
      refused_at: platform.clock.now() - 10 * MINUTE,
    });
    expect(await reject(TOKEN)).toMatchObject({ status: 200, outcome: 'refreshed', seq: 3 });
  });
});
