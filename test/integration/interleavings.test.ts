import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MUTATIONS } from '../interleavings/mutations.ts';
import { placeOnCluster, placeOnOne, type Place } from '../interleavings/place.ts';
import { runSchedule } from '../interleavings/schedule.ts';

/** A part of `npm run test:interleavings`, which runs 10,000 schedules and takes every rule out. */
const SCHEDULES = 400;

describe('two replicas in any order of their steps, with up to three faults', () => {
  let place: Place;
  beforeAll(async () => {
    place = await placeOnOne();
  });
  afterAll(() => place.close());

  it(`store what WeChat minted last, in each of ${SCHEDULES} schedules`, async () => {
    let mints = 0;
    for (let seed = 1; seed <= SCHEDULES; seed += 1) {
      const { violation, trace, mints: made } = await runSchedule(place, seed);
      expect(violation, `seed ${seed}\n${trace.join('\n')}`).toBeUndefined();
      mints += made;
    }
    expect(mints).toBeGreaterThan(SCHEDULES);
  }, 60_000);

  it('are the same each time for the same seed', async () => {
    const first = await runSchedule(place, 7);
    expect((await runSchedule(place, 7)).trace).toEqual(first.trace);
  });

  it('do not without locks that last and intents', async () => {
    const tamper = MUTATIONS['a lock of 1 ms, and no intents'];
    let found = 0;
    for (let seed = 1; seed <= SCHEDULES && found === 0; seed += 1) {
      if ((await runSchedule(place, seed, tamper)).violation !== undefined) found = seed;
    }
    expect(found).toBeGreaterThan(0);
  }, 60_000);
});

describe('two replicas on a cluster, where a failover takes their keys to another shard', () => {
  const schedules = 60;

  it(`store what WeChat minted last, in each of ${schedules} schedules`, async () => {
    const place = await placeOnCluster();
    let failovers = 0;
    try {
      for (let seed = 1; seed <= schedules; seed += 1) {
        const { violation, trace, faults } = await runSchedule(place, seed);
        expect(violation, `seed ${seed}\n${trace.join('\n')}`).toBeUndefined();
        failovers += faults.filter((fault) => fault === 'failover').length;
      }
    } finally {
      await place.close();
    }
    expect(failovers).toBeGreaterThan(3);
  }, 60_000);
});
