import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { expectHealed } from '../kit/expect.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { callsSince, logged, read, statusOf, stored } from '../kit/observe.ts';
import {
  COMPONENT,
  createTestPlatform,
  MINUTE,
  NO_PUSHES_ON_REQUEST,
  type TestPlatform,
} from '../kit/platform.ts';
import { createRedisPair, type RedisPair } from '../kit/redis-pair.ts';
import { becomes, newest, ticketMirror, tokenMints } from '../kit/redis-trouble.ts';
import { MINT_API, REFRESHED } from '../kit/scenario.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

const RESTORED = 'Redis had lost a credential; restored from memory';
const TICKET_RESTORED = 'Redis had lost the ticket; restored from memory';
const OVERLAPPED = 'another mint overlapped this one; one more settles which is newer';
/** Seconds in which nobody mints after a failover: a call begun before it is over by then. */
const QUARANTINE = 25;
/** Seconds of simulated time after which everything must be well again. */
const HEALED_WITHIN = 60;
/** Mints that one failover may cost at the most. */
const MOST_MINTS = 3;

let pair: RedisPair;
let station: TestPlatform;
beforeEach(async () => {
  pair = await createRedisPair();
});
afterEach(async () => {
  await station.close();
  await pair.close();
});

/** A station whose token, which lives twenty minutes here, is due at the next tick, in a minute. */
async function stationBeforeTick(): Promise<TestPlatform> {
  const made = await createTestPlatform({
    redisUrl: pair.url,
    simulator: { componentAccessTokenSeconds: 1_200 },
  });
  made.redis.on('error', () => undefined);
  await made.simulator.pushTicket();
  await made.settle();
  await made.skip(9 * MINUTE);
  return made;
}

/** What the master acknowledges from now on, nobody but the master will ever have. */
async function loseWhatFollows(): Promise<void> {
  await vi.waitFor(async () => expect(await pair.inSync()).toBe(true), POLLING);
  pair.blackholeReplication();
}

/** Resolves when the promoted replica is what everybody is connected to. */
async function promote(replicas = 1): Promise<void> {
  const connected = () => logged(station, 'Redis connected').length;
  const before = connected();
  await pair.promote();
  await vi.waitFor(() => expect(connected()).toBeGreaterThanOrEqual(before + replicas), POLLING);
  await vi.waitFor(async () => expect(await station.redis.ping()).toBe('PONG'), POLLING);
}

/** Resolves when, besides, the service has looked at everything once. */
async function failOver(): Promise<void> {
  await promote();
  await becomes(station, 200);
}

/** A reader who asks without pause; `stop` returns the mints it was given, by their order at WeChat. */
function startReader() {
  const values: string[] = [];
  const life = { over: false };
  const reading = (async () => {
    while (!life.over) {
      const answer = await station.internal(`/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`);
      expect(answer.status).toBe(200);
      values.push(((await answer.json()) as { value: string }).value);
    }
  })();
  return {
    count: () => values.length,
    async stop(): Promise<number[]> {
      life.over = true;
      await reading;
      const order = station.simulator.ledger.mints
        .filter(({ kind }) => kind === TOKEN.kind)
        .map(({ value }) => value);
      return values.map((value) => order.indexOf(value));
    },
  };
}

describe('row 8: a failover loses a token that Redis had acknowledged', () => {
  it('gives nobody the older one back, heals the record, and mints once after a quarantine', async () => {
    station = await stationBeforeTick();
    const first = await stored(station, TOKEN);
    await loseWhatFollows();
    await station.pass(MINUTE);
    const second = await stored(station, TOKEN);
    expect(second.kept).toMatchObject({ value: newest(station), seq: '2' });
    expect(second.kept.value).not.toBe(first.kept.value);

    const reader = startReader();
    await vi.waitFor(() => expect(reader.count()).toBeGreaterThan(5), POLLING);
    await failOver();
    const sofar = reader.count();
    await vi.waitFor(() => expect(reader.count()).toBeGreaterThan(sofar + 5), POLLING);
    // Without a second having passed: the first mint is 0, the lost one 1.
    expect(new Set(await reader.stop())).toEqual(new Set([1]));
    expect((await stored(station, TOKEN)).kept).toEqual(second.kept);
    expect(logged(station, RESTORED, TOKEN.kind)).toMatchObject([{ level: 'warn', seq: 2 }]);
    expect(tokenMints(station)).toBe(2);
    const { credential, problems } = await statusOf(station, TOKEN);
    expect(credential).toMatchObject({ state: 'due', failures_in_a_row: 0 });
    expect(problems.map(({ code }) => code)).toContain('redis_was_restarted');

    const failedOverAt = station.clock.now();
    const healedAfter = await secondsUntil(station, HEALED_WITHIN, () => expectHealed(station));
    expect(healedAfter).toBeGreaterThanOrEqual(QUARANTINE);
    const since = callsSince(station, MINT_API, failedOverAt + 1);
    expect(since).toHaveLength(1);
    expect(since[0]).toBeGreaterThanOrEqual(QUARANTINE - 0.001);
    expect(await read(station, TOKEN)).toMatchObject({
      status: 200,
      value: newest(station),
      seq: 3,
      state: 'fresh',
      source: 'redis',
    });
    expect(logged(station, REFRESHED, TOKEN.kind).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    // The code follows its token: its own quarantine begins when it can be asked for again.
    const left = HEALED_WITHIN - healedAfter;
    await secondsUntil(station, left, async () => {
      expect((await statusOf(station, TOKEN)).problems).toEqual([]);
    });
    expect(await read(station, CODE)).toMatchObject({ status: 200 });
    await station.pass(5 * MINUTE);
    expect(tokenMints(station)).toBe(3);
    expect(station.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('answers from memory, and not with 503, while there is no master at all', async () => {
    station = await stationBeforeTick();
    await loseWhatFollows();
    await station.pass(MINUTE);
    await pair.master.kill('SIGKILL');
    await becomes(station, 503);
    expect(await read(station, TOKEN)).toMatchObject({
      status: 200,
      value: newest(station),
      seq: 2,
      source: 'memory',
    });
    await pair.promote();
    await becomes(station, 200);
    expect(await read(station, TOKEN)).toMatchObject({
      status: 200,
      value: newest(station),
      seq: 2,
      source: 'redis',
    });
    const whole = () => expectHealed(station);
    expect(await secondsUntil(station, HEALED_WITHIN, whole)).toBeGreaterThanOrEqual(QUARANTINE);
    expect(tokenMints(station)).toBe(3);
  });
});

describe('row 8: a failover loses the beginning of a mint that is under way', () => {
  it('lets nobody else begin before that call is over, and one more mint settles the order', async () => {
    station = await stationBeforeTick();
    const { simulator, redis, keys, clock } = station;
    const before = await stored(station, TOKEN);
    await loseWhatFollows();
    // WeChat mints at once, and its answer takes seven seconds.
    simulator.addFault({ api: MINT_API, afterMint: true, fault: { type: 'delay', ms: 7_000 } });
    await clock.advance(MINUTE);
    await vi.waitFor(() => expect(tokenMints(station)).toBe(2), POLLING);
    // Another replica, which finds the token due and may not begin.
    await station.addReplica();
    expect((await stored(station, TOKEN)).locked).toBe(true);
    await promote(2);
    await vi.waitFor(async () => {
      const until = await redis.hget(keys.record(TOKEN), 'quarantine_until');
      expect(Number(until)).toBe(clock.now() + QUARANTINE * 1_000);
    }, POLLING);
    expect((await stored(station, TOKEN)).locked).toBe(false);
    const failedOverAt = clock.now();

    await clock.advance(7_000);
    await station.settle();
    expect(logged(station, OVERLAPPED, TOKEN.kind)).toMatchObject([{ level: 'warn', seq: 1 }]);
    // Whether it is older or newer than what a lost write may have held cannot be known.
    expect((await stored(station, TOKEN)).kept).toEqual(before.kept);
    expect(await read(station, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });

    const healedAfter = await secondsUntil(station, HEALED_WITHIN, () => expectHealed(station));
    expect((clock.now() - failedOverAt) / 1_000).toBeLessThanOrEqual(HEALED_WITHIN);
    expect(healedAfter).toBeGreaterThanOrEqual(QUARANTINE - 7);
    const since = callsSince(station, MINT_API, failedOverAt + 1);
    expect(since[0]).toBeGreaterThanOrEqual(QUARANTINE - 0.001);
    expect(1 + since.length).toBeLessThanOrEqual(MOST_MINTS);
    expect(await read(station, TOKEN)).toMatchObject({ value: newest(station), seq: 2 });
    const minted = tokenMints(station);
    await station.pass(5 * MINUTE);
    expect(tokenMints(station)).toBe(minted);
  });
});

describe('row 8: a failover loses a ticket for which WeChat got its success', () => {
  it('has it back from memory at once, and mints with it', async () => {
    station = await createTestPlatform({ redisUrl: pair.url });
    const { simulator, redis, keys } = station;
    redis.on('error', () => undefined);
    simulator.addFault(NO_PUSHES_ON_REQUEST);
    await simulator.pushTicket();
    await station.settle();
    await station.pass(10 * MINUTE);
    const older = await ticketMirror(station);
    await loseWhatFollows();
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    await station.settle();
    const ticket = await ticketMirror(station);
    expect(ticket).not.toBe(older);

    await failOver();
    expect(await ticketMirror(station)).toBe(ticket);
    expect(await redis.hgetall(keys.ticketRecord(COMPONENT.appid))).toMatchObject({
      ticket: ticket ?? '',
      previous_ticket: older ?? '',
    });
    expect(logged(station, TICKET_RESTORED)).toMatchObject([
      { level: 'warn', appid: COMPONENT.appid },
    ]);
    const { problems } = await statusOf(station, TOKEN);
    expect(problems.map(({ code }) => code)).not.toContain('no_ticket');
    const whole = () => expectHealed(station);
    expect(await secondsUntil(station, HEALED_WITHIN, whole)).toBeGreaterThanOrEqual(QUARANTINE);
    expect(simulator.latestMint(TOKEN.kind)).toMatchObject({ ticket });
    expect(tokenMints(station)).toBe(2);
    expect(station.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
