import type { Fault } from './faults.ts';
import { visit, type Soak } from './soak.ts';
import { ACCESS, CODE, JSAPI, TOKEN } from './station.ts';

/** What people do to Redis, and many visitors at once. */

/** Seconds until a patrol has gone round. */
const PATROL = 20;

async function keyEdited(soak: Soak): Promise<void> {
  const { station, judge } = soak;
  const { random, redis, keys } = station;
  const kept = random.pick([TOKEN, ACCESS, JSAPI, CODE]);
  const record = keys.record(kept.id);
  const mirror = keys.mirror(kept.id);
  const [what, meddle] = random.pick<[string, () => Promise<unknown>]>([
    ['mirror deleted', () => redis.del(mirror)],
    ['mirror edited', () => redis.set(mirror, 'what somebody typed')],
    ['mirror of another type', () => redis.multi().del(mirror).lpush(mirror, 'a').exec()],
    ['record deleted', () => redis.del(record)],
    ['record and mirror deleted', () => redis.del(record, mirror)],
    ['value edited', () => redis.hset(record, 'value', 'what somebody typed')],
    [
      'expiry edited',
      () => redis.hset(record, 'expires_at', Math.floor(station.clock.simulatedStoreNow()) + 1_000),
    ],
    ['seq spoilt', () => redis.hset(record, 'seq', 'many')],
    ['record of another type', () => redis.multi().del(record).set(record, 'a').exec()],
  ]);
  soak.note(`by hand: ${what}`, kept.id.kind);
  judge.excuse([kept], `by hand: ${what}`, PATROL);
  judge.allow([kept], 2);
  await meddle();
  await soak.go(2 * PATROL, 1);
}

async function manyVisitors(soak: Soak): Promise<void> {
  soak.note('many visitors');
  for (let count = soak.station.random.between(3, 12); count > 0; count -= 1) {
    await visit(soak);
    if (soak.station.random.chance(0.5)) await soak.go(1, 1);
  }
}

export const HAND_FAULTS: readonly Fault[] = [
  { name: 'key edited', weight: 6, run: keyEdited },
  { name: 'many visitors', weight: 1, run: manyVisitors },
];
