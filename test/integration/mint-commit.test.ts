import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest';
import { readHistory, readRecord, takeValue } from '../../src/store/credentials/record.ts';
import { CLOCK_START as NOW } from '../kit/clock.ts';
import { CODE, TOKEN } from '../kit/liveness.ts';
import { connectAdmin } from '../kit/redis-shapes/access.ts';
import { BUSY, createTestStore, LIFE, mintSteps, type TestStore } from '../kit/store.ts';

/** The last step of a mint, in orders that whole processes rarely produce. */

let store: TestStore;
beforeEach(() => {
  store = createTestStore();
});
afterEach(() => store.close());
const { begin, granted, commit, fail, mint } = mintSteps(() => store, TOKEN);
const pass = (ms: number) => store.clock.advance(ms);
const mirror = () => store.redis.get(store.keys.mirror(TOKEN));
/** A mint whose lock has ended before it has. */
const overslept = async (operation: string) => {
  const begun = await granted(operation);
  await pass(20_000);
  return begun;
};

describe('commit', () => {
  it('stores the value, gives the lock back and forgets the failures', async () => {
    await granted('first');
    await fail('first');
    const begun = await granted('second', { ignoreBackoff: true });
    const stored = { outcome: 'stored', seq: 1, expiresAt: NOW + LIFE };
    expect(await commit('second', begun, 'one')).toMatchObject(stored);
    expect(await readRecord(store, TOKEN)).toMatchObject({
      value: 'one',
      seq: 1,
      expiresAt: NOW + LIFE,
      obtainedAt: NOW,
      taken: false,
      suspect: false,
      failures: 0,
      retryAt: 0,
      reason: 'by second',
      replica: 'tests',
    });
    expect(await mirror()).toBe('one');
    await granted('third', { judgedSeq: 1 });
  });

  it('returns the record as it stands then, also when it is repeated', async () => {
    const begun = await granted('first');
    const { record } = await commit('first', begun, 'one');
    expect(record).toEqual(await readRecord(store, TOKEN));
    expect((await commit('first', begun, 'one')).record).toEqual(record);
  });

  it('stores a value beside what a person has spoiled in the record', async () => {
    const begun = await granted('first');
    await store.redis.hset(store.keys.record(TOKEN), 'taken_at', 'yesterday', 'day', 'Monday');
    const result = await commit('first', begun, 'one');
    expect(result).toMatchObject({ outcome: 'stored', seq: 1, record: undefined });
    expect(await mirror()).toBe('one');
  });

  it('changes nothing when it is repeated', async () => {
    const begun = await granted('first');
    await commit('first', begun, 'one');
    const before = await store.redis.hgetall(store.keys.record(TOKEN));
    expect(await commit('first', begun, 'one')).toMatchObject({ outcome: 'stored', seq: 1 });
    expect(await store.redis.hgetall(store.keys.record(TOKEN))).toEqual(before);
    expect(await readHistory(store, TOKEN)).toHaveLength(1);
  });

  it('keeps the stored value when two mints overlapped, and says that the order is unknown', async () => {
    const slow = await overslept('slow');
    await commit('quick', await granted('quick', { needed: true }), 'of quick');
    expect(await commit('slow', slow, 'of slow')).toMatchObject({ outcome: 'overlapped', seq: 1 });
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'of quick', suspect: true });
    expect(await mirror()).toBe('of quick');
    const settling = await granted('settling', { judgedSeq: 1 });
    expect(await readRecord(store, TOKEN)).toMatchObject({ suspect: true });
    expect(await commit('settling', settling, 'newest')).toMatchObject({
      outcome: 'stored',
      seq: 2,
    });
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'newest', suspect: false });
  });

  it('takes an overlapped value all the same when the stored one is dead', async () => {
    const slow = await overslept('slow');
    await commit('quick', await granted('quick', { needed: true }), 'of quick', { lifeMs: 1_000 });
    await pass(1_000);
    expect(await commit('slow', slow, 'of slow')).toMatchObject({ outcome: 'stored', seq: 2 });
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'of slow', suspect: true });
  });

  it('does not mind overlaps of single-use values: one does not end another', async () => {
    const codes = mintSteps(() => store, CODE);
    const slow = await codes.granted('slow');
    await pass(20_000);
    const quick = await codes.granted('quick', { needed: true });
    await codes.commit('quick', quick, 'code 1', { singleUse: true });
    const stored = await codes.commit('slow', slow, 'code 2', { singleUse: true });
    expect(stored).toMatchObject({ outcome: 'stored', seq: 2 });
    expect(await readRecord(store, CODE)).toMatchObject({ value: 'code 2', suspect: false });
  });

  it('never lets a mint that began earlier end the doubt that arose after it', async () => {
    const lost = await overslept('lost');
    const next = await granted('next', { needed: true });
    expect(next.begin).toBeGreaterThan(lost.begin);
    await fail('lost', true);
    expect(await commit('next', next, 'one')).toMatchObject({ outcome: 'stored', seq: 1 });
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: true });
  });

  it('marks a value whose own call may have minted twice', async () => {
    await mint('first', 'one', 0, { doubtful: true });
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: true });
    expect(await begin('second', { judgedSeq: 1 })).toMatchObject({ outcome: 'settling' });
    await pass(10_000);
    await mint('second', 'two', 1);
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'two', suspect: false });
  });

  it('does not take the lock away from whoever has it by now', async () => {
    const slow = await overslept('slow');
    await granted('quick', { needed: true });
    expect(await commit('slow', slow, 'of slow')).toMatchObject({ outcome: 'stored', seq: 1 });
    expect((await begin('third', { judgedSeq: 1 })).outcome).toBe('locked');
  });

  it('keeps the seq when WeChat gave the same value a longer life', async () => {
    await mint('first', 'one');
    await pass(1_000);
    const expiresAt = NOW + 1_000 + LIFE;
    expect(await mint('second', 'one', 1)).toMatchObject({ outcome: 'stored', seq: 1, expiresAt });
    expect(await readRecord(store, TOKEN)).toMatchObject({ expiresAt });
  });

  it('counts a life from when the call started, also for the mirror', async () => {
    await mint('first', 'one', 0, { ageMs: LIFE - 600_000 });
    expect(await readRecord(store, TOKEN)).toMatchObject({ expiresAt: NOW + 600_000 });
    const left = await store.redis.pttl(store.keys.mirror(TOKEN));
    expect(left).toBeLessThanOrEqual(600_000);
    expect(left).toBeGreaterThan(300_000);
  });

  it('leaves no mirror of a value that was dead on arrival', async () => {
    await mint('first', 'one');
    await mint('second', 'two', 1, { ageMs: LIFE });
    expect(await mirror()).toBeNull();
  });

  it('announces each new value without telling it', async () => {
    const listener = connectAdmin(inject('redis'));
    const messages: string[] = [];
    listener.on('message', (_channel: string, message: string) => messages.push(message));
    await listener.subscribe(store.keys.rotations);
    const begun = await granted('first');
    await commit('first', begun, 'the secret value');
    await commit('first', begun, 'the secret value');
    await store.redis.publish(store.keys.rotations, 'end');
    await vi.waitFor(() => expect(messages.at(-1)).toBe('end'), { timeout: 20_000 });
    expect(messages).toHaveLength(2);
    expect(JSON.parse(messages[0] ?? '')).toEqual({
      kind: TOKEN.kind,
      subject: TOKEN.subject,
      seq: 1,
      expires_at: NOW + LIFE,
    });
    listener.disconnect();
  });

  it('keeps a history, newest first, without a value', async () => {
    await mint('first', 'secret one');
    await mint('second', 'secret two', 1);
    expect(await readHistory(store, TOKEN)).toEqual(
      [2, 1].map((seq) => ({
        seq,
        obtainedAt: NOW,
        expiresAt: NOW + LIFE,
        replica: 'tests',
        reason: seq === 2 ? 'by second' : 'by first',
      })),
    );
    const raw = await store.redis.lrange(store.keys.history(TOKEN), 0, -1);
    expect(raw.join()).not.toContain('secret');
  });

  it('does not lose a value to a history that somebody spoiled', async () => {
    await store.redis.set(store.keys.history(TOKEN), 'not a list');
    expect(await mint('first', 'one')).toMatchObject({ outcome: 'stored' });
    expect(await mirror()).toBe('one');
  });
});

describe('fail', () => {
  it('gives the lock back, counts, and leaves the value alone', async () => {
    await mint('first', 'one');
    await granted('second', { judgedSeq: 1 });
    await fail('second');
    expect(await readRecord(store, TOKEN)).toMatchObject({
      value: 'one',
      seq: 1,
      failures: 1,
      retryAt: NOW + 5_000,
      suspect: false,
      lastError: BUSY,
      lastErrorAt: NOW,
    });
    expect(await mirror()).toBe('one');
    await granted('third', { judgedSeq: 1, ignoreBackoff: true });
  });

  it('is for the holder only; another may at most raise a doubt', async () => {
    await overslept('slow');
    await granted('quick', { needed: true });
    await fail('slow', true);
    await fail('stranger');
    expect(await readRecord(store, TOKEN)).toMatchObject({
      failures: 0,
      retryAt: 0,
      lastError: undefined,
      suspect: true,
    });
    expect((await begin('third')).outcome).toBe('locked');
  });
});

describe('take', () => {
  const codes = mintSteps(() => store, CODE);
  const stock = (value = 'code', seq = 0) =>
    codes.mint(`for ${value}`, value, seq, { singleUse: true });
  const code = { value: 'code', expiresAt: NOW + LIFE, seq: 1, obtainedAt: NOW, readAt: NOW };

  it('gives a value to one of many that ask at the same moment, and takes it off the mirror', async () => {
    await stock();
    const takes = await Promise.all(Array.from({ length: 20 }, () => takeValue(store, CODE)));
    expect(takes.filter((one) => one !== undefined)).toEqual([code]);
    expect(await store.redis.get(store.keys.mirror(CODE))).toBeNull();
    expect(await readRecord(store, CODE)).toMatchObject({ taken: true });
  });

  it('gives nothing when somebody took it off the mirror', async () => {
    expect(await takeValue(store, CODE)).toBeUndefined();
    await stock();
    await store.redis.getdel(store.keys.mirror(CODE));
    expect(await takeValue(store, CODE)).toBeUndefined();
    expect(await readRecord(store, CODE)).toMatchObject({ taken: true });
  });

  it('gives nothing that is over, nor in the last second of its life', async () => {
    await stock();
    await pass(LIFE - 1_001);
    expect(await takeValue(store, CODE)).toMatchObject({ value: 'code' });
    await stock('another', 1);
    await pass(LIFE - 1_000);
    expect(await takeValue(store, CODE)).toBeUndefined();
  });

  it('gives the next value after it was committed', async () => {
    await stock();
    await takeValue(store, CODE);
    await stock('another', 1);
    expect(await readRecord(store, CODE)).toMatchObject({ taken: false });
    expect(await takeValue(store, CODE)).toMatchObject({ value: 'another', seq: 2 });
  });

  it('never hands out a code twice, even when somebody puts a taken one back by hand', async () => {
    await stock();
    await takeValue(store, CODE);
    await store.redis.set(store.keys.mirror(CODE), 'code');
    expect(await readRecord(store, CODE)).toMatchObject({ taken: true });
    expect(await takeValue(store, CODE)).toBeUndefined();
  });
});

it('keeps a history of bounded length, of the latest values', async () => {
  const { epoch } = await granted('any');
  // Begins are odd and commits even, as when each mint follows the one before.
  for (let at = 1; at <= 2 * 610; at += 2) {
    await commit(`operation ${at}`, { begin: at + 10_000, epoch }, `value ${at}`);
    await store.redis.hset(store.keys.record(TOKEN), 'clock', at + 10_000);
  }
  const history = await readHistory(store, TOKEN);
  expect(history).toHaveLength(600);
  expect(history[0]?.seq).toBe(610);
  expect(history.at(-1)?.seq).toBe(11);
});
