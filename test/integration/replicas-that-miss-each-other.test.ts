import { afterEach, describe, expect, it } from 'vitest';
import { createHeartbeat } from '../../src/status/heartbeat.ts';
import { replicaFindings } from '../../src/status/replicas.ts';
import { readReplicas } from '../../src/store/operations/replicas.ts';
import { MINUTE } from '../kit/platform.ts';
import { createTestStore, type TestStore } from '../kit/store.ts';

describe('replicas on one Redis', () => {
  let store: TestStore;
  afterEach(() => store.close());

  async function missing(): Promise<(string | null)[]> {
    const found = replicaFindings(await readReplicas(store), store.time.now());
    return found.map(({ kind }) => kind);
  }

  it('miss one that stops beating, but not those that come back later than others', async () => {
    store = createTestStore();
    const [one, two] = ['one', 'two'].map((id) => createHeartbeat(store, id, '0'));
    const beat = async (ms: number, ...hearts: (typeof one)[]) => {
      for (let passed = 0; passed < ms; passed += MINUTE / 4) {
        await store.clock.advance(MINUTE / 4);
        for (const heart of hearts) await heart?.beat();
      }
    };
    await beat(MINUTE, one, two);
    expect(await missing()).toEqual([]);
    // Everybody sleeps.
    await beat(3 * MINUTE);
    expect(await missing()).toEqual([]);
    await beat(MINUTE / 4, one);
    expect(await missing()).toEqual([]);
    await beat(MINUTE / 4, one, two);
    expect(await missing()).toEqual([]);

    await beat(MINUTE, one);
    expect(await missing()).toEqual([]);
    await beat(MINUTE / 4, one);
    expect(await missing()).toEqual(['two']);
    await beat(MINUTE / 4, one, two);
    expect(await missing()).toEqual([]);
  });

  it('do not count beats that Redis never heard', async () => {
    store = createTestStore();
    let away = false;
    const redis = new Proxy(store.redis, {
      get(target, name) {
        if (name === 'hset' && away) return () => Promise.reject(new Error('away'));
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    const heart = createHeartbeat({ ...store, redis }, 'one', '0');
    const beat = async () => {
      await store.clock.advance(MINUTE / 4);
      await heart.beat();
    };
    const watching = async () => (await readReplicas(store))[0]?.watchingSince;
    await beat();
    const since = await watching();
    await beat();
    expect(await watching()).toBe(since);
    away = true;
    for (let time = 0; time < 5; time += 1) await expect(beat()).rejects.toThrow();
    away = false;
    await beat();
    expect(await watching()).toBe(store.time.now());
  });
});
