import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { giveLeaseBack, takeLease } from '../../src/store/redis/lease.ts';
import { createTestStore, type TestStore } from '../kit/store.ts';

/** Work that one replica does at a time. */
describe('a lease', () => {
  let store: TestStore;
  let key: string;
  beforeEach(() => {
    store = createTestStore();
    key = store.keys.lease('exchange', 'wx0123456789abcdef');
  });
  afterEach(() => store.close());

  const take = (owner: string, ms = 25_000) => takeLease(store, key, owner, ms);

  it('is held by one, however many want it in the same moment', async () => {
    const owners = Array.from({ length: 20 }, (_, index) => `replica-${index}`);
    const got = await Promise.all(owners.map((owner) => take(owner)));
    expect(got.filter(Boolean)).toHaveLength(1);
    const holder = owners[got.indexOf(true)] ?? '';
    expect(await store.redis.get(key)).toBe(holder);
    expect(await Promise.all(owners.map((owner) => take(owner)))).toEqual(got);
  });

  it('lasts as long as was said, from the last time its holder said so', async () => {
    expect(await take('one', 10_000)).toBe(true);
    expect(await store.redis.pttl(key)).toBeLessThanOrEqual(10_000);
    expect(await take('one', 25_000)).toBe(true);
    const left = await store.redis.pttl(key);
    expect(left).toBeGreaterThan(20_000);
    expect(left).toBeLessThanOrEqual(25_000);
  });

  it('goes to the next when it is over, without anybody giving it back', async () => {
    expect(await take('dead')).toBe(true);
    expect(await take('next')).toBe(false);
    // As if its time had passed.
    await store.redis.pexpire(key, 1);
    await vi.waitFor(async () => expect(await take('next')).toBe(true), { interval: 5 });
    // Who wakes up late has lost it.
    expect(await take('dead')).toBe(false);
  });

  it('is given back by its holder only', async () => {
    await take('one');
    await giveLeaseBack(store, key, 'other');
    expect(await take('other')).toBe(false);
    await giveLeaseBack(store, key, 'one');
    expect(await store.redis.exists(key)).toBe(0);
    expect(await take('other')).toBe(true);
    // A second time, late: it is somebody else's by now.
    await giveLeaseBack(store, key, 'one');
    expect(await store.redis.get(key)).toBe('other');
  });

  it('of one piece of work says nothing about another', async () => {
    await take('one');
    for (const [name, component] of [
      ['reconcile', 'wx0123456789abcdef'],
      ['exchange', 'wxffffffffffffffff'],
    ] as const) {
      expect(await takeLease(store, store.keys.lease(name, component), 'other', 1_000)).toBe(true);
    }
  });

  it('cannot be had, nor given back, while Redis is away, and says so', async () => {
    store.redis.disconnect();
    await expect(take('one')).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(giveLeaseBack(store, key, 'one')).rejects.toMatchObject({
      code: 'store_unavailable',
    });
  });
});
