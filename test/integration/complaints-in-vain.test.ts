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

let station: TestPlatform;
afterEach(() => station.close());

async function post(id: CredentialId, action: string, body?: unknown): Promise<Answer> {
  const answer = await station.internal(`/v1/credentials/${id.kind}/${id.subject}/${action}`, {
    method: 'POST',
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const json = (await answer.json()) as Omit<Answer, 'status' | 'retryAfter'>;
  await station.settle();
  return { status: answer.status, retryAfter: Number(answer.headers.get('retry-after')), ...json };
}

/** The same complaint as a service makes it: about the value that it reads. */
async function reject(id: CredentialId): Promise<Answer> {
  const { seq } = await read(station, id);
  return post(id, 'rejected', { seq, errcode: 40001 });
}

const errors = () => station.logs.filter(({ level }) => level === 'error');

async function platform(): Promise<void> {
  station = await createTestPlatform();
  station.simulator.setPushing(true);
  await station.simulator.pushTicket();
  await station.settle();
  await station.pass(5 * MINUTE);
}

describe('complaints while WeChat is busy', () => {
  beforeEach(platform);
  const busy = () =>
    station.simulator.addFault({
      api: MINT_API,
      times: 'forever',
      fault: { type: 'errcode', errcode: -1 },
    });

  it('wait together: the first one costs a try, the others share its back-off', async () => {
    busy();
    const since = station.clock.now();
    for (let time = 0; time < 8; time += 1) {
      const answer = await reject(TOKEN);
      expect(answer).toMatchObject({ status: 200, outcome: 'throttled', seq: 1 });
      expect(answer.retryAfter).toBeGreaterThanOrEqual(1);
      expect(answer.retryAfter).toBeLessThanOrEqual(4);
    }
    expect(callsSince(station, MINT_API, since)).toEqual([0]);
  });

  it('ten a minute for half an hour cost no more calls than one', async () => {
    busy();
    const callsIn = async (complaintsAMinute: number) => {
      const since = station.clock.now();
      for (let minute = 0; minute < 30; minute += 1) {
        const wanted = minute === 0 ? Math.max(1, complaintsAMinute) : complaintsAMinute;
        for (let time = 0; time < wanted; time += 1) await reject(TOKEN);
        await station.pass(MINUTE);
      }
      return callsSince(station, MINT_API, since).length;
    };
    const many = await callsIn(10);
    // Three quick tries, then delays that double up to five minutes.
    expect(many).toBeGreaterThan(5);
    expect(many).toBeLessThan(25);
    // A reader's complaint is not forgotten over it.
    station.simulator.clearFaults();
    await station.pass(6 * MINUTE);
    expect(await read(station, TOKEN)).toMatchObject({ seq: 2, state: 'fresh' });
  });

  it('try at once about a death that is newer than the last failure', async () => {
    const expiresAt = Number(await station.redis.hget(station.keys.record(TOKEN), 'expires_at'));
    await station.skip(expiresAt - 14 * MINUTE - station.clock.now());
    busy();
    await station.pass(6 * MINUTE);
    const waiting = await station.redis.hget(station.keys.record(TOKEN), 'retry_at');
    expect(Number(waiting)).toBeGreaterThan(station.clock.now());
    station.simulator.clearFaults();
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed', seq: 2 });
  });
});

describe('a value that WeChat gives again to whoever calls it dead', () => {
  beforeEach(async () => {
    station = await createTestPlatform({ accounts: true });
    await station.settle();
    await station.pass(5 * MINUTE);
  });

  it.each([
    ['a ticket', { kind: 'jsapi_ticket', subject: STABLE.appid }, 'getticket'],
    ['a stable token', { kind: 'access_token', subject: STABLE.appid }, 'stable_token'],
  ] as const)('%s is alive, and nobody else is blamed', async (_what, id, api) => {
    const before = await read(station, id);
    const same = { status: 200, outcome: 'throttled', seq: before.seq, value: before.value };
    for (let time = 1; time <= 3; time += 1) {
      const since = station.clock.now();
      expect(await reject(id)).toMatchObject({ ...same, retryAfter: 300 });
      expect(callsSince(station, api, since)).toHaveLength(1);
      // Until then WeChat is not asked again.
      expect(await reject(id)).toMatchObject({ ...same, retryAfter: 300 });
      expect(callsSince(station, api, since)).toHaveLength(1);
      const line = 'WeChat gave the value again that was called dead: it is alive';
      expect(logged(station, line, id.kind)).toHaveLength(time);
      expect(logged(station, line, id.kind)).toMatchObject([
        ...Array<object>(time).fill({ level: 'warn' }),
      ]);
      await station.pass(6 * MINUTE);
    }
    expect(await station.redis.hmget(station.keys.record(id), 'foreign_since', 'refusals')).toEqual(
      [null, null],
    );
    expect(errors()).toEqual([]);
  });

  it('ends the suspicion too that earlier deaths had raised', async () => {
    const id = { kind: 'access_token', subject: STABLE.appid } as const;
    const record = station.keys.record(id);
    const { seq = 0 } = await read(station, id);
    const foreign = { foreign_since: 1, refusals: 2, counted_at: station.clock.now() };
    await station.redis.hset(record, foreign);
    expect(await post(id, 'rejected', { seq, errcode: 40001 })).toMatchObject({
      outcome: 'throttled',
      retryAfter: 300,
    });
    expect(await station.redis.hget(record, 'foreign_since')).toBeNull();
  });

  it('a classic token is another one each time, and two deaths still name somebody', async () => {
    const id = { kind: 'access_token', subject: CLASSIC.appid } as const;
    expect(await reject(id)).toMatchObject({ outcome: 'refreshed' });
    await station.pass(6 * MINUTE);
    expect(await reject(id)).toMatchObject({ outcome: 'refreshed' });
    expect(errors()).toMatchObject([{ kind: 'access_token' }]);
  });
});

describe('one real death', () => {
  beforeEach(platform);

  it('and another one after a life of peace are not two in one life, whatever an admin asks for', async () => {
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    await station.skip(3 * HOUR);
    expect(await post(TOKEN, 'refresh')).toMatchObject({ outcome: 'refreshed' });
    await station.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(station, TOKEN)).problems).toEqual([]);
    expect(errors()).toEqual([]);
    // The next one within a life of that is the second.
    await station.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(station, TOKEN)).problems).toMatchObject([
      { code: 'foreign_refresher' },
    ]);
  });

  it('and one after a life of peace are not two in one life, whatever our own doubts explain', async () => {
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    await station.skip(3 * HOUR);
    const { seq = 0 } = await read(station, TOKEN);
    await station.redis.hset(station.keys.record(TOKEN), { suspect: 1 });
    const explained = { seq, by: { caller: 'a service' }, ownDoing: false };
    expect(await refuseValue(station.store, TOKEN, explained)).toEqual({ outcome: 'accepted' });
    await station.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(station, TOKEN)).problems).toEqual([]);
  });

  it('stays counted when an admin asks for another value in between', async () => {
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    await station.pass(10 * MINUTE);
    expect(await post(TOKEN, 'refresh')).toMatchObject({ outcome: 'refreshed' });
    await station.pass(10 * MINUTE);
    expect(await reject(TOKEN)).toMatchObject({ outcome: 'refreshed' });
    expect((await statusOf(station, TOKEN)).problems).toMatchObject([
      { code: 'foreign_refresher' },
    ]);
  });
});

describe('callers who share the key of one who complains in vain', () => {
  const TOO_SOON = 'a value was called dead too soon after the last time; it stays';
  beforeEach(async () => {
    await platform();
    await reject(TOKEN);
    for (let time = 0; time < 10; time += 1) await reject(TOKEN);
    expect((await reject(TOKEN)).status).toBe(429);
  });

  it('get the newer value, for one look at Redis and none at WeChat', async () => {
    const since = station.clock.now();
    const { value } = await read(station, TOKEN);
    const late = await post(TOKEN, 'rejected', { seq: 1, errcode: 40001 });
    expect(late).toMatchObject({ status: 200, outcome: 'already_newer', seq: 2, value });
    expect((await reject(TOKEN)).status).toBe(429);
    expect(callsSince(station, MINT_API, since)).toHaveLength(1);
    // A flood is no reason to fill the log.
    expect(logged(station, TOO_SOON)).toHaveLength(10);
  });

  it('are heard about a death that nobody has reported yet', async () => {
    await station.pass(59_000);
    await station.redis.hset(station.keys.record(TOKEN), {
      value_since: station.clock.now() - 10 * MINUTE,
      refused_at: station.clock.now() - 10 * MINUTE,
    });
    expect(await reject(TOKEN)).toMatchObject({ status: 200, outcome: 'refreshed', seq: 3 });
  });
});
