import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRecord } from '../../src/store/credentials/record.ts';
import { CLOCK_START as NOW } from '../kit/clock.ts';
import { TOKEN } from '../kit/liveness.ts';
import { BUDGET, createTestStore, LIFE, mintSteps, type TestStore } from '../kit/store.ts';

/** The first step of a mint, in orders that whole processes rarely produce. */

let store: TestStore;
beforeEach(() => {
  store = createTestStore();
});
afterEach(() => store.close());
const { begin, granted, commit, fail, mint } = mintSteps(() => store, TOKEN);
const pass = (ms: number) => store.clock.advance(ms);

describe('the lock', () => {
  it('is granted to one operation and keeps out every other for twenty seconds', async () => {
    await granted('first');
    expect(await begin('second')).toEqual({ outcome: 'locked', until: NOW + 20_000 });
    await pass(19_999);
    expect(await begin('second')).toMatchObject({ outcome: 'locked' });
  });

  it('gives the same operation the same answer again', async () => {
    const first = await granted('first');
    expect(await granted('first')).toEqual(first);
    expect(await granted('first', { judgedSeq: 99 })).toEqual(first);
  });

  it('is granted to one of many that ask at the same moment', async () => {
    const names = Array.from({ length: 50 }, (_, index) => `operation ${index}`);
    const outcomes = await Promise.all(names.map(async (name) => (await begin(name)).outcome));
    expect(outcomes.filter((one) => one === 'granted')).toHaveLength(1);
    expect(outcomes.filter((one) => one === 'locked')).toHaveLength(49);
  });

  it('is refused when the record was refreshed after it was judged', async () => {
    await mint('first', 'one');
    expect(await begin('second')).toEqual({ outcome: 'changed' });
    await granted('second', { judgedSeq: 1 });
  });

  it('does not last for ever when Redis is set back an hour', async () => {
    await granted('first');
    store.clock.jumpStoreClock(-3_600_000);
    await pass(60_001);
    await granted('second');
  });
});

describe('an intent without an end', () => {
  it('keeps others away until nothing can be under way any more, then counts as a doubt', async () => {
    await granted('dead');
    await pass(20_000);
    expect(await begin('next')).toEqual({ outcome: 'unresolved', until: NOW + 60_000 });
    await pass(40_000);
    expect(await readRecord(store, TOKEN)).toMatchObject({ suspect: true });
    await mint('next', 'one');
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: false });
  });

  it('is not waited for when no live value is left', async () => {
    await granted('dead');
    await pass(20_000);
    const next = await granted('next', { needed: true });
    await commit('next', next, 'one');
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: false });
    await pass(40_000);
    // The dead one may have minted last: that is settled as soon as it cannot be alive.
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: true });
  });

  it('does not get lost when the one that stands for it fails', async () => {
    await granted('dead');
    await pass(60_000);
    await granted('next');
    await fail('next');
    expect(await readRecord(store, TOKEN)).toMatchObject({ suspect: true });
  });
});

describe('patience', () => {
  it('is asked for after a failure, unless that is to be ignored', async () => {
    await granted('first');
    await fail('first');
    const refused = { outcome: 'backoff', until: NOW + 5_000 };
    await pass(4_999);
    expect(await begin('second')).toEqual(refused);
    await pass(1);
    await granted('second');
    await fail('second');
    await granted('third', { ignoreBackoff: true });
  });

  it('is not asked for by a back-off that a wrong clock wrote days ahead', async () => {
    await granted('first');
    await fail('first', false, { retryInMs: 3_600_000 });
    store.clock.jumpStoreClock(-48 * 3_600_000);
    await granted('second');
  });

  it('lasts ten seconds after a lost answer, whatever is ignored: the call may still execute', async () => {
    await granted('first');
    await fail('first', true);
    await pass(9_999);
    expect(await begin('second', { ignoreBackoff: true, needed: true })).toEqual({
      outcome: 'settling',
      until: NOW + 10_000,
    });
    await pass(1);
    await granted('second');
  });

  it('is not cut short by another doubt that needs less of it', async () => {
    const slow = await granted('slow');
    await pass(20_000);
    const quick = await granted('quick', { needed: true });
    await fail('quick', true);
    const other = await begin('other', { needed: true });
    expect(other).toMatchObject({ outcome: 'settling' });
    await commit('slow', slow, 'one');
    expect(quick.begin).toBeGreaterThan(slow.begin);
    expect(await begin('third', { judgedSeq: 1, needed: true })).toMatchObject({
      outcome: 'settling',
    });
  });
});

describe('a change of epoch', () => {
  const forget = () => store.redis.hset(store.keys.record(TOKEN), 'epoch', 'of another Redis');

  it('keeps everybody away for twenty-five seconds, then leads to one mint', async () => {
    await mint('first', 'one');
    await forget();
    expect(await readRecord(store, TOKEN)).toMatchObject({ suspect: true });
    const refused = { outcome: 'quarantined', until: NOW + 25_000 };
    expect(await begin('second', { judgedSeq: 1, needed: true })).toEqual(refused);
    await pass(24_999);
    expect(await begin('second', { judgedSeq: 1, needed: true })).toEqual(refused);
    expect(await readRecord(store, TOKEN)).toMatchObject({
      suspect: true,
      quarantineUntil: NOW + 25_000,
    });
    await pass(1);
    await mint('second', 'two', 1);
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'two', suspect: false });
  });

  it('voids the commit of a mint that began before it', async () => {
    await mint('first', 'one');
    const before = await granted('second', { judgedSeq: 1 });
    expect(await commit('second', { ...before, epoch: 'of another Redis' }, 'two')).toMatchObject({
      outcome: 'overlapped',
    });
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: true });
  });

  it('does not throw a value away when there is no live one to keep', async () => {
    const before = await granted('first');
    const stored = await commit('first', { ...before, epoch: 'of another Redis' }, 'one');
    expect(stored).toMatchObject({ outcome: 'stored', seq: 1 });
    expect(await readRecord(store, TOKEN)).toMatchObject({ value: 'one', suspect: true });
  });
});

describe('the budget', () => {
  it('allows six needless mints at once, and thirty needed ones, then one now and then', async () => {
    for (let seq = 0; seq < 6; seq += 1) await mint(`spare ${seq}`, `value ${seq}`, seq);
    const refused = (until: number, news = false) => ({ outcome: 'throttled', until, news });
    const [everyTenMinutes, everyTwoMinutes] = [LIFE / 2 / 6, LIFE / 2 / 30];
    expect(await begin('spare', { judgedSeq: 6 })).toEqual(refused(NOW + everyTenMinutes, true));
    expect(await begin('spare', { judgedSeq: 6 })).toEqual(refused(NOW + everyTenMinutes));
    for (let seq = 6; seq < 30; seq += 1) {
      const begun = await granted(`needed ${seq}`, { judgedSeq: seq, needed: true });
      await commit(`needed ${seq}`, begun, `value ${seq}`);
    }
    const everything = { judgedSeq: 30, needed: true, ignoreBackoff: true };
    expect(await begin('needed', everything)).toEqual(refused(NOW + everyTwoMinutes, true));
    await pass(everyTwoMinutes);
    const begun = await granted('in time', everything);
    await commit('in time', begun, 'value 30');
    expect(await begin('needed', { ...everything, judgedSeq: 31 })).toEqual(
      refused(NOW + 2 * everyTwoMinutes, true),
    );
    await pass(LIFE / 2 / 6);
    await granted('spare', { judgedSeq: 31 });
  });

  it('hardly counts calls that certainly minted nothing', async () => {
    for (let time = 0; time < 50; time += 1) {
      await granted(`failing ${time}`, { ignoreBackoff: true });
      await fail(`failing ${time}`);
    }
    await granted('next', { ignoreBackoff: true });
  });

  it('keeps the last tenth of a daily quota for what is needed, until midnight in Beijing', async () => {
    const budget = { ...BUDGET, dailyCalls: 20 };
    const ignoreBackoff = true;
    for (let call = 0; call < 18; call += 1) {
      await granted(`call ${call}`, { budget, ignoreBackoff });
      await fail(`call ${call}`);
    }
    expect(await readRecord(store, TOKEN)).toMatchObject({ callsToday: 18 });
    const midnight = Date.UTC(2026, 10, 21, 16);
    expect(await begin('spare', { budget, ignoreBackoff })).toEqual({
      outcome: 'throttled',
      until: midnight,
      news: true,
    });
    await granted('needed', { budget, ignoreBackoff, needed: true });
    await fail('needed');
    await pass(midnight - store.time.now());
    expect(await readRecord(store, TOKEN)).toMatchObject({ callsToday: 0 });
    await granted('spare', { budget, ignoreBackoff });
    expect(await readRecord(store, TOKEN)).toMatchObject({ callsToday: 1 });
  });
});
