import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRecord } from '../../src/store/credentials/record.ts';
import { TOKEN } from '../kit/liveness.ts';
import { createTestStore, mintSteps, type TestStore } from '../kit/store.ts';

/** A record that is as it was is not sent again; whatever has changed of it is. */

let store: TestStore;
beforeEach(() => {
  store = createTestStore();
});
afterEach(() => store.close());
const { granted, fail, mint } = mintSteps(() => store, TOKEN);
/** Reads with what was read before, marked: the mark is still there only if Redis did not send it anew. */
const readAgain = async (known: Awaited<ReturnType<typeof readRecord>>) => {
  const read = await readRecord(store, TOKEN, { ...known, replica: 'as it was known' });
  return { read, sent: read.replica !== 'as it was known' };
};
const record = () => store.keys.record(TOKEN);
const mirror = () => store.keys.mirror(TOKEN);
const DAY_MS = 86_400_000;

describe('a record that is read again', () => {
  it('is not sent while nothing has changed, and is read at its own time', async () => {
    await mint('first', 'one');
    const known = await readRecord(store, TOKEN);
    await store.clock.advance(1_000);
    const { read, sent } = await readAgain(known);
    expect(sent).toBe(false);
    expect(read).toEqual({ ...known, replica: read.replica, readAt: known.readAt + 1_000 });
  });

  it.each<[string, () => Promise<unknown>]>([
    ['another value of a field', () => store.redis.hset(record(), 'reason', 'by hand')],
    ['a new field', () => store.redis.hset(record(), 'note', 'x')],
    ['a field less', () => store.redis.hdel(record(), 'reason')],
    ['the key for readers deleted', () => store.redis.del(mirror())],
    ['another value there', () => store.redis.set(mirror(), 'two')],
    [
      'another type of key there',
      () => store.redis.multi().del(mirror()).sadd(mirror(), 'x').exec(),
    ],
    ['all of it deleted', () => store.redis.del(record(), mirror())],
    ['a new value', () => mint('second', 'two', 1)],
    ['the calls of another day', () => store.clock.advance(DAY_MS)],
  ])('is sent again: %s', async (_, change) => {
    await mint('first', 'one');
    const known = await readRecord(store, TOKEN);
    await change();
    const { read, sent } = await readAgain(known);
    expect(sent).toBe(true);
    expect(read).toEqual(await readRecord(store, TOKEN));
  });

  it('is sent each time while a mint is open, which time turns into a doubt', async () => {
    await mint('first', 'one');
    await granted('second', { judgedSeq: 1 });
    const known = await readRecord(store, TOKEN);
    expect(known.suspect).toBe(false);
    await store.clock.advance(60_000);
    expect((await readAgain(known)).read.suspect).toBe(true);
    await fail('second');
    expect((await readAgain(known)).sent).toBe(true);
  });
});
