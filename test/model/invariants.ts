import type { Bounds, Event } from './events.ts';
import { isDue, isQuiescent, type World } from './world.ts';

export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I10' | 'row 27' | 'not stuck';

export const MEANING: Readonly<Record<Invariant, string>> = {
  I1: 'when nothing is open, the stored value is the last minted',
  I2: 'the stored mint order never falls, except by a failover',
  I3: 'without a fault, exactly one mint per window',
  I4: 'mints <= windows + 2 x faults (3 x where a value is urgent) + 3 x failovers',
  I10: 'a stored value never becomes empty, except by a failover',
  'row 27': 'repeating the commit that the record holds changes nothing',
  'not stuck': 'from every state, all becomes quiet and fresh without further faults',
};

/** Invariants of the design that this model says nothing about. */
export const NOT_MODELLED: readonly string[] = [
  'I5 needs clocks: reader tests',
  'I6 needs memories of replicas: fault tests',
  'I7, I8 are about pushes: their own tests',
  'I9 needs authorizations: property tests',
  'I11 is here only "it heals", not how fast: fault tests',
  'I12 is here only the double check that it rests on; throttling: refusal tests',
  'I13 is about logs: canary tests',
  'I14 needs backoff: retry tests',
];

/** What a state violates by itself. */
export function violatedBy(world: World, { start, ages }: Bounds): Invariant | undefined {
  const { spent, mints, record } = world;
  const given = start === 'live' ? 1 : 0;
  const paid = mints - given;
  const perFault = ages === 'due' && start === 'live' ? 2 : 3;
  if (paid > spent.windows + perFault * spent.faults + 3 * spent.failovers) return 'I4';
  const noFault = spent.faults + spent.failovers === 0;
  if (noFault && paid > spent.windows) return 'I3';
  if (!isQuiescent(world)) return undefined;
  if (record.value !== mints) return 'I1';
  if (noFault && !isDue(world) && paid !== spent.windows) return 'I3';
  return undefined;
}

/** What the way from one state to the next violates. */
export function violatedOnTheWay(before: World, { kind, next }: Event): Invariant | undefined {
  if (kind === 'failover') return undefined;
  const { record } = before;
  if (record.value > 0 && next.record.value === 0) return 'I10';
  if (next.record.value < record.value) return 'I2';
  const repeats = before.replicas.some(
    (replica, index) =>
      replica.at === 'unsure' &&
      next.replicas[index]?.at === 'idle' &&
      kind === 'step' &&
      replica.op === record.committedOp,
  );
  if (repeats && next.record !== record) return 'row 27';
  return undefined;
}

/** Where every world must be able to get to: quiet, and nothing due. */
export function isHealthy(world: World): boolean {
  return isQuiescent(world) && !isDue(world) && world.record.value === world.mints;
}
