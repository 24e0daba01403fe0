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
import { MINT_API, OVERLAPPED, REFRESHED } from '../kit/scenario.ts';
import { POLLING, secondsUntil } from '../kit/waiting.ts';

const RESTORED = 'Redis had lost a credential; restored from memory';
const TICKET_RESTORED = 'Redis had lost the ticket; restored from memory';
/** Seconds in which nobody mints after a failover: a call begun before it is over by then. */
const QUARANTINE = 25;
/** Seconds of simulated time after which everything must be well again. */
const HEALED_WITHIN = 60;
/** Mints that one failover may cost at the most. */
const MOST_MINTS = 3;

let pair: RedisPair;
let platform: TestPlatform;
beforeEach(async () => {
  pair = await createRedisPair();
});
afterEach(async () => {
  await platform.close();
  await pair.close();
});

/** A platform whose token, which lives twenty minutes here, is due at the next tick, in a minute. */
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
  const connected = () => logged(platform, 'Redis connected').length;
  const before = connected();
  await pair.promote();
  await vi.waitFor(() => expect(connected()).toBeGreaterThanOrEqual(before + replicas), POLLING);
  await vi.waitFor(async () => expect(await platform.redis.ping()).toBe('PONG'), POLLING);
}

/** Resolves when, besides, the service has looked at everything once. */
async function failOver(): Promise<void> {
  await promote();
  await becomes(platform, 200);
}

/** A reader who asks without pause; `stop` returns the mints it was given, by their order at WeChat. */
function startReader() {
  const values: string[] = [];
  const life = { over: false };
  const reading = (async () => {
    while (!life.over) {
      const answer = await platform.internal(`/v1/credentials/${TOKEN.kind}/${TOKEN.subject}`);
      expect(answer.status).toBe(200);
      values.push(((await answer.json()) as { value: string }).value);
    }
  })();
  return {
    count: () => values.length,
    async stop(): Promise<number[]> {
      life.over = true;
      await reading;
      const order = platform.simulator.ledger.mints
        .filter(({ kind }) => kind === TOKEN.kind)
        .map(({ value }) => value);
      return values.map((value) => order.indexOf(value));
    },
  };
}

describe('row 8: a failover loses a token that Redis had acknowledged', () => {
  it('gives nobody the older one back, heals the record, and mints once after a quarantine', async () => {
    platform = await stationBeforeTick();
    const first = await stored(platform, TOKEN);
    await loseWhatFollows();
    await platform.pass(MINUTE);
    const second = await stored(platform, TOKEN);
    expect(second.kept).toMatchObject({ value: newest(platform), seq: '2' });
    expect(second.kept.value).not.toBe(first.kept.value);

    const reader = startReader();
    await vi.waitFor(() => expect(reader.count()).toBeGreaterThan(5), POLLING);
    await failOver();
    const sofar = reader.count();
    await vi.waitFor(() => expect(reader.count()).toBeGreaterThan(sofar + 5), POLLING);
    // Without a second having passed: the first mint is 0, the lost one 1.
    expect(new Set(await reader.stop())).toEqual(new Set([1]));
    expect((await stored(platform, TOKEN)).kept).toEqual(second.kept);
    expect(logged(platform, RESTORED, TOKEN.kind)).toMatchObject([{ level: 'warn', seq: 2 }]);
    expect(tokenMints(platform)).toBe(2);
    const { credential, problems } = await statusOf(platform, TOKEN);
    expect(credential).toMatchObject({ state: 'due', failures_in_a_row: 0 });
    expect(problems.map(({ code }) => code)).toContain('redis_was_restarted');

    const failedOverAt = platform.clock.now();
    const healedAfter = await secondsUntil(platform, HEALED_WITHIN, () => expectHealed(platform));
    expect(healedAfter).toBeGreaterThanOrEqual(QUARANTINE);
    const since = callsSince(platform, MINT_API, failedOverAt + 1);
    expect(since).toHaveLength(1);
    expect(since[0]).toBeGreaterThanOrEqual(QUARANTINE - 0.001);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: newest(platform),
      seq: 3,
      state: 'fresh',
      source: 'redis',
    });
    expect(logged(platform, REFRESHED, TOKEN.kind).map(({ seq }) => seq)).toEqual([1, 2, 3]);
    // The code follows its token: its own quarantine begins when it can be asked for again.
    const left = HEALED_WITHIN - healedAfter;
    await secondsUntil(platform, left, async () => {
      expect((await statusOf(platform, TOKEN)).problems).toEqual([]);
    });
    expect(await read(platform, CODE)).toMatchObject({ status: 200 });
    await platform.pass(5 * MINUTE);
    expect(tokenMints(platform)).toBe(3);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('answers from memory, and not with 503, while there is no master at all', async () => {
    platform = await stationBeforeTick();
    await loseWhatFollows();
    await platform.pass(MINUTE);
    await pair.master.kill('SIGKILL');
    await becomes(platform, 503);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: newest(platform),
      seq: 2,
      source: 'memory',
    });
    await pair.promote();
    await becomes(platform, 200);
    expect(await read(platform, TOKEN)).toMatchObject({
      status: 200,
      value: newest(platform),
      seq: 2,
      source: 'redis',
    });
    const whole = () => expectHealed(platform);
    expect(await secondsUntil(platform, HEALED_WITHIN, whole)).toBeGreaterThanOrEqual(QUARANTINE);
    expect(tokenMints(platform)).toBe(3);
  });
});

describe('row 8: a failover loses the beginning of a mint that is under way', () => {
  it('lets nobody else begin before that call is over, and one more mint settles the order', async () => {
    platform = await stationBeforeTick();
    const { simulator, redis, keys, clock } = platform;
    const before = await stored(platform, TOKEN);
    await loseWhatFollows();
    // WeChat mints at once, and its answer takes seven seconds.
    simulator.addFault({ api: MINT_API, afterMint: true, fault: { type: 'delay', ms: 7_000 } });
    await clock.advance(MINUTE);
    await vi.waitFor(() => expect(tokenMints(platform)).toBe(2), POLLING);
    // Another replica, which finds the token due and may not begin.
    await platform.addReplica();
    expect((await stored(platform, TOKEN)).locked).toBe(true);
    await promote(2);
    await vi.waitFor(async () => {
      const until = await redis.hget(keys.record(TOKEN), 'quarantine_until');
      expect(Number(until)).toBe(clock.now() + QUARANTINE * 1_000);
    }, POLLING);
    expect((await stored(platform, TOKEN)).locked).toBe(false);
    const failedOverAt = clock.now();

    await clock.advance(7_000);
    await platform.settle();
    expect(logged(platform, OVERLAPPED, TOKEN.kind)).toMatchObject([{ level: 'warn', seq: 1 }]);
    // Whether it is older or newer than what a lost write may have held cannot be known.
    expect((await stored(platform, TOKEN)).kept).toEqual(before.kept);
    expect(await read(platform, TOKEN)).toMatchObject({ status: 200, seq: 1, state: 'due' });

    const healedAfter = await secondsUntil(platform, HEALED_WITHIN, () => expectHealed(platform));
    expect((clock.now() - failedOverAt) / 1_000).toBeLessThanOrEqual(HEALED_WITHIN);
    expect(healedAfter).toBeGreaterThanOrEqual(QUARANTINE - 7);
    const since = callsSince(platform, MINT_API, failedOverAt + 1);
    expect(since[0]).toBeGreaterThanOrEqual(QUARANTINE - 0.001);
    expect(1 + since.length).toBeLessThanOrEqual(MOST_MINTS);
    expect(await read(platform, TOKEN)).toMatchObject({ value: newest(platform), seq: 2 });
    const minted = tokenMints(platform);
    await platform.pass(5 * MINUTE);
    expect(tokenMints(platform)).toBe(minted);
  });
});

describe('row 8: a failover loses a ticket for which WeChat got its success', () => {
  it('has it back from memory at once, and mints with it', async () => {
    platform = await createTestPlatform({ redisUrl: pair.url });
    const { simulator, redis, keys } = platform;
    redis.on('error', () => undefined);
    simulator.addFault(NO_PUSHES_ON_REQUEST);
    await simulator.pushTicket();
    await platform.settle();
    await platform.pass(10 * MINUTE);
    const older = await ticketMirror(platform);
    await loseWhatFollows();
    expect(await simulator.pushTicket()).toMatchObject({ accepted: true });
    await platform.settle();
    const ticket = await ticketMirror(platform);
    expect(ticket).not.toBe(older);

    await failOver();
    expect(await ticketMirror(platform)).toBe(ticket);
    expect(await redis.hgetall(keys.ticketRecord(COMPONENT.appid))).toMatchObject({
      ticket: ticket ?? '',
      previous_ticket: older ?? '',
    });
    expect(logged(platform, TICKET_RESTORED)).toMatchObject([
      { level: 'warn', appid: COMPONENT.appid },
    ]);
    const { problems } = await statusOf(platform, TOKEN);
    expect(problems.map(({ code }) => code)).not.toContain('no_ticket');
    const whole = () => expectHealed(platform);
    expect(await secondsUntil(platform, HEALED_WITHIN, whole)).toBeGreaterThanOrEqual(QUARANTINE);
    expect(simulator.latestMint(TOKEN.kind)).toMatchObject({ ticket });
    expect(tokenMints(platform)).toBe(2);
    expect(platform.logs.filter(({ level }) => level === 'error')).toEqual([]);
  });
});
